//! What the command line changes of an image's configuration, as `docker run` does.

use std::path::Path;

use lupine::manifest::Run;

use super::Failure;
use crate::args::ImageArgs;

/// Puts the arguments over what a manifest says.
pub(super) fn apply(args: &ImageArgs, run: &mut Run) -> Result<(), Failure> {
    if let Some(program) = &args.entrypoint {
        run.entrypoint = Some(vec![program.clone()]);
        run.command = None;
    }
    if !args.command.is_empty() {
        run.command = Some(args.command.clone());
    }
    for path in &args.env_file {
        env_file(path, run)?;
    }
    for variable in &args.env {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Failure::Usage(format!(
                "--env {variable:?} names no variable"
            )));
        }
        if !set(variable, run) {
            run.env.remove(variable);
            run.unset.push(variable.clone());
        }
    }
    let replace = |field: &mut Option<String>, value: &Option<String>| {
        if value.is_some() {
            field.clone_from(value);
        }
    };
    replace(&mut run.workdir, &args.workdir);
    replace(&mut run.user, &args.user);
    replace(&mut run.hostname, &args.hostname);
    replace(&mut run.stop_signal, &args.stop_signal);
    run.stop_timeout_s = args.stop_timeout.or(run.stop_timeout_s);
    run.groups.extend(args.group_add.iter().cloned());
    run.tmpfs.extend(args.tmpfs.iter().cloned());
    run.overlays.extend(args.overlay.iter().cloned());
    Ok(())
}

/// Sets a variable as given, or one named alone to this machine's value; false where it has none.
fn set(variable: &str, run: &mut Run) -> bool {
    let (name, value) = match variable.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => match std::env::var(variable) {
            Ok(value) => (variable, value),
            Err(_) => return false,
        },
    };
    run.env.insert(name.to_owned(), value);
    true
}

/// Reads a file of variables, a line each; `#` begins a comment line.
fn env_file(path: &Path, run: &mut Run) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Input {
        what: format!("cannot read {}", path.display()),
        source: source.into(),
    })?;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Failure::Input {
                what: format!("{}, line {}", path.display(), number + 1),
                source: format!("{line:?} sets no variable: write NAME=VALUE").into(),
            });
        }
        // A name alone that this machine does not set either is left out.
        set(line, run);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn applied(words: &[&str]) -> Result<Run, Failure> {
        let line = ["lupine", "needs"].iter().chain(words).chain(&["image"]);
        let Command::Needs(args) = Cli::parse_from(line).command else {
            unreachable!("it was typed")
        };
        let mut run = Run {
            command: Some(vec!["old".to_owned()]),
            user: Some("www".to_owned()),
            ..Run::default()
        };
        run.env.insert("OLD".to_owned(), "1".to_owned());
        apply(&args.image, &mut run)?;
        Ok(run)
    }

    #[test]
    fn what_is_not_said_stays() {
        let run = applied(&["--hostname", "guest"]).unwrap();
        assert_eq!(run.user.as_deref(), Some("www"));
        assert_eq!(run.hostname.as_deref(), Some("guest"));
        assert_eq!(run.command, Some(vec!["old".to_owned()]));
        assert_eq!(applied(&["--entrypoint", "/x"]).unwrap().command, None);
    }

    #[test]
    fn variables_come_from_the_line_the_file_and_this_machine() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("env");
        std::fs::write(
            &path,
            "# comment\n\n A=1\nB=x y='z'\nNOT_SET_ANYWHERE\nPATH\n",
        )
        .unwrap();
        let file = path.to_str().unwrap();
        let run = applied(&["--env-file", file, "-e", "A=2", "-e", "OLD", "-e", "E="]).unwrap();
        let env: Vec<String> = run.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let machine = format!("PATH={}", std::env::var("PATH").unwrap());
        assert_eq!(env, ["A=2", "B=x y='z'", "E=", &machine]);
        assert_eq!(run.unset, ["OLD"]);
        std::fs::write(&path, "A=1\nwith space=1\n").unwrap();
        let error = applied(&["--env-file", file]).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
