//! What `docker run` can change of an image's configuration.

use serde::{Deserialize, Serialize};

use crate::config::{ByteString, HealthCheck, HealthTest, ImageConfig, PortRange};
use crate::config::{set_variable, variable_name};

/// Changes to an image's configuration; the default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Replaces the entry point, and drops the image's command with it. Empty: no entry point.
    pub entrypoint: Option<Vec<ByteString>>,
    /// Replaces the command.
    pub cmd: Option<Vec<ByteString>>,
    /// `NAME=value` sets a variable, `NAME` alone removes it.
    pub env: Vec<ByteString>,
    /// Replaces the working directory.
    pub working_dir: Option<ByteString>,
    /// Replaces user and group.
    pub user: Option<ByteString>,
    /// Further groups, by name or number.
    pub groups: Vec<ByteString>,
    /// Replaces the host name.
    pub hostname: Option<ByteString>,
    /// Further ports.
    pub expose: Vec<PortRange>,
    /// Further volumes.
    pub volumes: Vec<ByteString>,
    /// Replaces the stop signal.
    pub stop_signal: Option<ByteString>,
    /// Replaces the stop timeout, in seconds.
    pub stop_timeout: Option<u64>,
    /// `NAME=value` sets a label, `NAME` alone sets it to nothing.
    pub labels: Vec<String>,
    /// Replaces the test of the health check.
    pub health_test: Option<HealthTest>,
}

impl ImageConfig {
    /// The configuration with these changes. [`Overrides::groups`] take effect in
    /// [`process`](Self::process).
    #[must_use]
    pub fn with(&self, overrides: &Overrides) -> Self {
        let mut config = self.clone();
        if let Some(entrypoint) = &overrides.entrypoint {
            config.entrypoint.clone_from(entrypoint);
            config.cmd.clear();
        }
        if let Some(cmd) = &overrides.cmd {
            config.cmd.clone_from(cmd);
        }
        for variable in &overrides.env {
            if variable.contains(&b'=') {
                set_variable(&mut config.env, variable.clone());
            } else {
                config
                    .env
                    .retain(|known| variable_name(known) != &**variable);
            }
        }
        let replace = |field: &mut ByteString, with: &Option<ByteString>| {
            if let Some(with) = with {
                field.clone_from(with);
            }
        };
        replace(&mut config.working_dir, &overrides.working_dir);
        replace(&mut config.user, &overrides.user);
        replace(&mut config.hostname, &overrides.hostname);
        replace(&mut config.stop_signal, &overrides.stop_signal);
        config.stop_timeout = overrides.stop_timeout.or(config.stop_timeout);
        config
            .exposed_ports
            .extend(overrides.expose.iter().cloned());
        config.volumes.extend(overrides.volumes.iter().cloned());
        for label in &overrides.labels {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            config.labels.insert(name.to_owned(), value.to_owned());
        }
        if let Some(test) = &overrides.health_test {
            let check = config.health_check.get_or_insert_with(HealthCheck::default);
            check.test = test.clone();
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageConfig {
        ImageConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["a".into()],
            env: vec!["PATH=/bin".into(), "X=1".into()],
            ..ImageConfig::default()
        }
    }

    #[test]
    fn nothing_changes_nothing() {
        assert_eq!(image().with(&Overrides::default()), image());
    }

    #[test]
    fn a_new_entry_point_drops_the_command() {
        let mut overrides = Overrides {
            entrypoint: Some(vec!["/bin/sh".into()]),
            ..Overrides::default()
        };
        assert_eq!(image().with(&overrides).argv(), ["/bin/sh"]);
        overrides.cmd = Some(vec!["-c".into(), "true".into()]);
        assert_eq!(image().with(&overrides).argv(), ["/bin/sh", "-c", "true"]);
        overrides.entrypoint = None;
        assert_eq!(image().with(&overrides).argv(), ["/entry", "-c", "true"]);
    }

    #[test]
    fn variables_are_replaced_added_and_removed() {
        let overrides = Overrides {
            env: vec!["Y=2".into(), "PATH=/sbin".into(), "X".into(), "NOT".into()],
            ..Overrides::default()
        };
        assert_eq!(image().with(&overrides).env, ["PATH=/sbin", "Y=2"]);
    }
}
