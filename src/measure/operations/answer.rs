//! What the guest's benchmark program says, a line an operation.

/// What the program's lines begin with.
const MARK: &str = "lupine-bench: ";

/// What one line of the program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Ticks and nanoseconds of each sample of `repeats` operations.
    Times {
        repeats: u64,
        ticks: Vec<u64>,
        ns: Vec<u64>,
    },
    /// Why it was not measured.
    Skipped(String),
}

/// One line of the program; `None` for what others print.
pub(super) fn parse(line: &str) -> Option<(String, Answer)> {
    let line = line.strip_prefix(MARK)?;
    if let Some((name, reason)) = line.split_once(": skipped: ") {
        return Some((name.to_owned(), Answer::Skipped(reason.to_owned())));
    }
    let (name, values) = line.split_once(": repeats=")?;
    let (repeats, values) = values.split_once(" ticks=")?;
    let (ticks, ns) = values.split_once(" ns=")?;
    let list = |text: &str| -> Option<Vec<u64>> {
        text.trim().split(',').map(|n| n.parse().ok()).collect()
    };
    let (ticks, ns) = (list(ticks)?, list(ns)?);
    let repeats = repeats.parse().ok().filter(|&repeats| repeats > 0)?;
    (ticks.len() == ns.len()).then(|| (name.to_owned(), Answer::Times { repeats, ticks, ns }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_read() {
        let line = "lupine-bench: null call: repeats=1000 ticks=42000,43000 ns=11,12";
        let (name, answer) = parse(line).unwrap();
        assert_eq!(name, "null call");
        assert_eq!(
            answer,
            Answer::Times {
                repeats: 1000,
                ticks: vec![42000, 43000],
                ns: vec![11, 12]
            }
        );
        let (name, answer) = parse("lupine-bench: read: skipped: no, errno 38").unwrap();
        assert_eq!(
            (name.as_str(), answer),
            ("read", Answer::Skipped("no, errno 38".into()))
        );
        for bad in [
            "lupine-bench: done",
            "null call: repeats=1 ticks=1 ns=1",
            "lupine-bench: a: repeats=0 ticks=1 ns=1",
            "lupine-bench: a: repeats=1 ticks=1,2 ns=1",
            "lupine-bench: a: repeats=1 ticks=x ns=1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_the_program_writes_is_read(
            name in "[a-zA-Z_0-9/ ]{1,40}",
            repeats in 1..=u64::MAX,
            samples in prop::collection::vec((any::<u64>(), any::<u64>()), 1..20),
        ) {
            let (ticks, ns): (Vec<u64>, Vec<u64>) = samples.into_iter().unzip();
            let list = |values: &[u64]| {
                let words: Vec<String> = values.iter().map(u64::to_string).collect();
                words.join(",")
            };
            let line = format!(
                "{MARK}{name}: repeats={repeats} ticks={} ns={}",
                list(&ticks),
                list(&ns)
            );
            prop_assert_eq!(parse(&line), Some((name, Answer::Times { repeats, ticks, ns })));
            // A line that was cut within its numbers is not taken for a whole one with as many.
            let cut = line.rfind([',', '=']).unwrap();
            prop_assert_eq!(parse(&line[..=cut]), None);
        }

        #[test]
        fn no_line_is_a_panic(line in "(lupine-bench: )?.{0,40}(: repeats=|: skipped: )?[0-9a-z ,=]{0,40}") {
            let _ = parse(&line);
        }
    }
}
