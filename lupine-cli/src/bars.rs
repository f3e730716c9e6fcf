//! Progress for people: bars on a terminal, plain lines in a pipe.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lupine::progress::{Progress, Silent, Unit};

/// A listener for standard error: bars where it is a terminal, else a line a
/// stage and one every ten seconds of it; nothing when `quiet`.
#[must_use]
pub fn for_stderr(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Silent)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars {
            bar: Mutex::new(None),
        })
    } else {
        Box::new(Lines {
            stage: Mutex::new(None),
        })
    }
}

/// Bars on a terminal.
struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn style(total: Option<u64>, unit: Unit) -> ProgressStyle {
    let template = match (total, unit) {
        (Some(_), Unit::Bytes) => "{msg:32} [{bar:30}] {bytes}/{total_bytes} {eta:>4}",
        (Some(_), _) => "{msg:32} [{bar:30}] {pos}/{len} {eta:>4}",
        (None, _) => "{msg:32} {spinner} {elapsed}",
    };
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Progress for Bars {
    fn stage(&self, name: &str, total: Option<u64>, unit: Unit) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        bar.set_style(style(total, unit));
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Some(old) = locked(&self.bar).replace(bar) {
            old.finish();
        }
    }

    fn advance(&self, amount: u64) {
        if let Some(bar) = &*locked(&self.bar) {
            bar.inc(amount);
            // A total can be an estimate: the bar grows rather than overflow.
            if bar.length().is_some_and(|length| bar.position() > length) {
                bar.set_length(bar.position());
            }
        }
    }

    fn message(&self, text: &str) {
        match &*locked(&self.bar) {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }

    fn finish(&self) {
        if let Some(bar) = locked(&self.bar).take() {
            bar.set_length(bar.position().max(1));
            bar.finish();
        }
    }
}

/// Plain lines for logs.
struct Lines {
    stage: Mutex<Option<Stage>>,
}

struct Stage {
    name: String,
    total: Option<u64>,
    unit: Unit,
    done: u64,
    began: Instant,
    told: Instant,
}

impl Stage {
    /// Such as `139 of 707 objects`.
    fn so_far(&self) -> String {
        let amount = |amount: u64| match self.unit {
            Unit::Bytes => DecimalBytes(amount).to_string(),
            _ => amount.to_string(),
        };
        let total = self.total.map(|total| format!(" of {}", amount(total)));
        let noun = match self.unit {
            Unit::Bytes => String::new(),
            unit => format!(" {}", unit.noun()),
        };
        format!("{}{}{noun}", amount(self.done), total.unwrap_or_default())
    }
}

impl Progress for Lines {
    fn stage(&self, name: &str, total: Option<u64>, unit: Unit) {
        say(&format!("{name} ..."));
        let now = Instant::now();
        let name = name.to_owned();
        let stage = Stage {
            name,
            total,
            unit,
            done: 0,
            began: now,
            told: now,
        };
        *locked(&self.stage) = Some(stage);
    }

    fn advance(&self, amount: u64) {
        if let Some(stage) = &mut *locked(&self.stage) {
            stage.done += amount;
            if stage.told.elapsed() >= Duration::from_secs(10) {
                stage.told = Instant::now();
                say(&format!("{}: {}", stage.name, stage.so_far()));
            }
        }
    }

    fn message(&self, text: &str) {
        say(text);
    }

    fn finish(&self) {
        if let Some(stage) = locked(&self.stage).take() {
            say(&format!(
                "{}: done in {:.1} s",
                stage.name,
                stage.began.elapsed().as_secs_f64()
            ));
        }
    }
}

/// A closed standard error is no reason to stop the work.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
