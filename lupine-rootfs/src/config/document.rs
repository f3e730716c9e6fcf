//! The JSON form of an image configuration: OCI's, with the fields Docker adds to it.
//!
//! The documents of real images are laxer than the specification: fields are missing, `null`, or a
//! string where a list belongs. What a document leaves out is simply not there; only what has the
//! wrong type altogether is an error.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::config::{ByteString, HealthCheck, HealthTest, ImageConfig, PortRange, set_variable};
use crate::source::Platform;

/// The whole document; also that of one layer of docker archives before version 1.10.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Document {
    #[serde(default, deserialize_with = "or_default")]
    created: String,
    #[serde(default, deserialize_with = "or_default")]
    architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    os: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    config: Execution,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) rootfs: RootFs,
    /// The layer below, in old docker archives.
    #[serde(default)]
    pub(crate) parent: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) diff_ids: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Execution {
    #[serde(deserialize_with = "or_default")]
    hostname: String,
    #[serde(deserialize_with = "or_default")]
    user: String,
    #[serde(deserialize_with = "or_default")]
    exposed_ports: BTreeMap<String, IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    entrypoint: Words,
    #[serde(deserialize_with = "or_default")]
    cmd: Words,
    #[serde(deserialize_with = "or_default")]
    volumes: BTreeMap<String, IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    working_dir: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    stop_signal: String,
    stop_timeout: Option<u64>,
    healthcheck: Option<Health>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Health {
    #[serde(deserialize_with = "or_default")]
    test: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    interval: u64,
    #[serde(deserialize_with = "or_default")]
    timeout: u64,
    #[serde(deserialize_with = "or_default")]
    start_period: u64,
    #[serde(deserialize_with = "or_default")]
    start_interval: u64,
    #[serde(deserialize_with = "or_default")]
    retries: u64,
}

/// A list of words, or one word.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Many(Vec<String>),
    One(String),
}

impl Default for Words {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl From<Words> for Vec<ByteString> {
    fn from(words: Words) -> Self {
        match words {
            Words::Many(words) => words.into_iter().map(ByteString::from).collect(),
            Words::One(word) => vec![word.into()],
        }
    }
}

/// `null` is as good as nothing.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl ImageConfig {
    /// Reads the JSON document of an image's configuration: OCI's or Docker's.
    ///
    /// # Errors
    /// When it is no JSON, or a field has another type than its specification says.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(serde_json::from_slice::<Document>(json)?.into())
    }
}

impl From<Document> for ImageConfig {
    fn from(document: Document) -> Self {
        let execution = document.config;
        let mut env = Vec::new();
        for variable in execution.env {
            set_variable(&mut env, variable.into());
        }
        // A port that is none cannot be listened on; Docker ignores it at run time, too.
        let ports: BTreeSet<PortRange> = execution
            .exposed_ports
            .keys()
            .filter_map(|port| port.parse().ok())
            .collect();
        let platform =
            (!document.os.is_empty() || !document.architecture.is_empty()).then_some(Platform {
                os: document.os,
                architecture: document.architecture,
                variant: document.variant.filter(|variant| !variant.is_empty()),
            });
        Self {
            entrypoint: execution.entrypoint.into(),
            cmd: execution.cmd.into(),
            env,
            working_dir: execution.working_dir.into(),
            user: execution.user.into(),
            hostname: execution.hostname.into(),
            exposed_ports: ports,
            volumes: execution
                .volumes
                .into_keys()
                .map(ByteString::from)
                .collect(),
            stop_signal: execution.stop_signal.into(),
            stop_timeout: execution.stop_timeout,
            labels: execution.labels,
            health_check: execution.healthcheck.map(HealthCheck::from),
            platform,
            created: document.created,
        }
    }
}

impl From<Health> for HealthCheck {
    fn from(health: Health) -> Self {
        let mut words = health.test.into_iter();
        let test = match words.next().as_deref() {
            None => HealthTest::Inherit,
            Some("NONE") => HealthTest::None,
            Some("CMD-SHELL") => HealthTest::Shell(words.next().unwrap_or_default().into()),
            Some("CMD") => HealthTest::Command(words.map(ByteString::from).collect()),
            Some(first) => HealthTest::Command(
                std::iter::once(first.to_owned())
                    .chain(words)
                    .map(ByteString::from)
                    .collect(),
            ),
        };
        Self {
            test,
            interval: health.interval,
            timeout: health.timeout,
            start_period: health.start_period,
            start_interval: health.start_interval,
            retries: health.retries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_document() {
        let config = ImageConfig::from_json(
            br#"{
            "created": "2026-01-02T03:04:05Z", "architecture": "arm64", "os": "linux",
            "variant": "v8", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {
                "User": "www-data:www-data", "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
                "Env": ["A=1", "B=2", "A=3"], "Entrypoint": ["/init"], "Cmd": ["serve", "-v"],
                "Volumes": {"/data": {}}, "WorkingDir": "/srv", "Labels": {"k": "v"},
                "StopSignal": "SIGQUIT", "StopTimeout": 5,
                "Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 1000,
                    "Retries": 2}
            }}"#,
        )
        .unwrap();
        insta::assert_debug_snapshot!(config);
    }

    #[test]
    fn lax_documents_are_read() {
        for json in [
            "{}",
            r#"{"config": null}"#,
            r#"{"config": {"Env": null, "Cmd": null, "Labels": null, "ExposedPorts": null}}"#,
            r#"{"config": {"ExposedPorts": {"nonsense": {}}}, "unknown": [1, {"a": 2}]}"#,
        ] {
            let config = ImageConfig::from_json(json.as_bytes()).unwrap();
            assert_eq!(config, ImageConfig::default(), "{json}");
        }
        let config = ImageConfig::from_json(br#"{"config": {"Cmd": "one word"}}"#).unwrap();
        assert_eq!(config.cmd, ["one word"]);
    }

    #[test]
    fn other_things_are_not() {
        for json in ["", "3", r#"{"config": 3}"#, r#"{"config": {"Env": "A=1"}}"#] {
            assert!(ImageConfig::from_json(json.as_bytes()).is_err(), "{json}");
        }
        let deep = "[".repeat(100_000);
        assert!(ImageConfig::from_json(deep.as_bytes()).is_err());
    }
}
