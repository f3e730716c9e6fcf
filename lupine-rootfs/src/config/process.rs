//! The first process of the image: everything resolved against the image's own files.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{ByteString, ImageConfig, ResolvedUser, UserError, set_variable};
use crate::path::{PathError, TreePath};
use crate::tree::{FileTree, ReadError};

/// `PATH` where the image sets none, as container runtimes have it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first process of an image, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Process {
    /// Program and arguments; never empty.
    pub argv: Vec<ByteString>,
    /// Environment, with `PATH` and `HOME` where the image sets none.
    pub env: Vec<ByteString>,
    /// Working directory, absolute and normalised.
    pub working_dir: ByteString,
    /// User, group and supplementary groups.
    pub user: ResolvedUser,
    /// Host name; empty: the caller's choice.
    pub hostname: ByteString,
    /// Number of the signal that stops it.
    pub stop_signal: u8,
}

/// Why a first process cannot be made out of a configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// Neither entry point nor command.
    #[error("the image names no program to run: give a command")]
    NoCommand,
    /// An argument, a variable or a path holds a zero byte, which Linux cannot pass on.
    #[error("the {what} `{text}` holds a zero byte")]
    ZeroByte {
        /// What it is.
        what: &'static str,
        /// Its text.
        text: ByteString,
    },
    /// The working directory is no place inside the image.
    #[error("the working directory is impossible")]
    WorkingDir(#[source] PathError),
    /// The stop signal is no signal.
    #[error(
        "the stop signal `{signal}` is no signal: give a name such as SIGTERM or a number from 1 to 64"
    )]
    StopSignal {
        /// What the image says.
        signal: ByteString,
    },
    /// The user or a group is unknown.
    #[error(transparent)]
    User(#[from] UserError),
    /// The image's user or group file cannot be read.
    #[error("cannot read the image's `/{path}`")]
    Read {
        /// Which file.
        path: &'static str,
        /// Why.
        #[source]
        source: ReadError,
    },
}

/// Largest user or group file read: 4 MiB.
const MAX_ACCOUNTS: u64 = 4 << 20;

impl ImageConfig {
    /// Resolves the configuration against the files of the image, `groups` (by name or number) in
    /// addition to those of the user.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub fn process(&self, tree: &FileTree, groups: &[ByteString]) -> Result<Process, ProcessError> {
        let argv = self.argv();
        if argv.first().is_none_or(|program| program.is_empty()) {
            return Err(ProcessError::NoCommand);
        }
        let texts = argv.iter().map(|text| ("argument", text));
        let texts = texts.chain(self.env.iter().map(|text| ("variable", text)));
        for (what, text) in texts.chain([("host name", &self.hostname)]) {
            if text.contains(&0) {
                let text = text.clone();
                return Err(ProcessError::ZeroByte { what, text });
            }
        }
        let passwd = account_file(tree, "etc/passwd")?;
        let group = account_file(tree, "etc/group")?;
        let user = ResolvedUser::resolve(&self.user, groups, &passwd, &group)?;
        let mut env = self.env.clone();
        if self.env_value(b"PATH").is_none() {
            set_variable(&mut env, format!("PATH={DEFAULT_PATH}").into());
        }
        if self.env_value(b"HOME").is_none() {
            set_variable(&mut env, [b"HOME=", &*user.home].concat().into());
        }
        let directory = TreePath::new(&self.working_dir).map_err(ProcessError::WorkingDir)?;
        let stop_signal = self
            .stop_signal_number()
            .ok_or_else(|| ProcessError::StopSignal {
                signal: self.stop_signal.clone(),
            })?;
        Ok(Process {
            argv,
            env,
            working_dir: [b"/", directory.as_bytes()].concat().into(),
            user,
            hostname: self.hostname.clone(),
            stop_signal,
        })
    }
}

/// The content of a file, or nothing where there is no such file.
fn account_file(tree: &FileTree, path: &'static str) -> Result<Vec<u8>, ProcessError> {
    let found = TreePath::new(path)
        .ok()
        .and_then(|at| tree.resolve(&at).ok());
    match found {
        Some(inode) if tree.content(inode).is_some() => tree
            .read_file(inode, MAX_ACCOUNTS)
            .map_err(|source| ProcessError::Read { path, source }),
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn tree() -> FileTree {
        let mut tree = FileTree::new();
        let passwd = b"www:x:33:34::/var/www:/bin/false\n";
        tree.add_file("usr/etc/passwd", &passwd[..], 0o644).unwrap();
        tree.add_symlink("etc", "usr/etc").unwrap();
        tree.add_file("usr/etc/group", &b"logs:x:9:www\n"[..], 0o644)
            .unwrap();
        tree
    }

    #[test]
    fn everything_is_resolved_against_the_image() {
        let config = ImageConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["x".into()],
            env: vec!["LANG=C".into()],
            working_dir: "srv/../data//".into(),
            user: "www".into(),
            stop_signal: "SIGQUIT".into(),
            ..ImageConfig::default()
        };
        let process = config.process(&tree(), &["5".into()]).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&process).unwrap());
    }

    #[test]
    fn what_cannot_be_run_is_an_error_that_says_why() {
        let runnable = Overrides {
            cmd: Some(vec!["true".into()]),
            ..Overrides::default()
        };
        let message = |overrides: Overrides| {
            let config = ImageConfig::default().with(&overrides);
            config.process(&tree(), &[]).unwrap_err().to_string()
        };
        let text = [
            message(Overrides::default()),
            message(Overrides {
                cmd: Some(vec!["a\0b".into()]),
                ..Overrides::default()
            }),
            message(Overrides {
                user: Some("nobody".into()),
                ..runnable.clone()
            }),
            message(Overrides {
                working_dir: Some("/../x".into()),
                ..runnable.clone()
            }),
            message(Overrides {
                stop_signal: Some("SIGSTOPP".into()),
                ..runnable
            }),
        ];
        insta::assert_snapshot!(text.join("\n"));
    }
}
