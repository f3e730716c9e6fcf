//! Results of test cases, and what differs between two runs of them.

use std::collections::{BTreeMap, BTreeSet};

/// How each case ended, by its name `SUITE/CASE`.
#[derive(Debug, Default)]
pub(crate) struct Cases(BTreeMap<String, String>);

/// A case that ended in different ways.
pub(crate) struct Difference {
    pub(crate) case: String,
    original: BTreeSet<String>,
    rewritten: BTreeSet<String>,
}

impl std::fmt::Debug for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            case,
            original,
            rewritten,
        } = self;
        write!(f, "{case}: {original:?}, then {rewritten:?}")
    }
}

impl Cases {
    /// The lines `case NAME RESULT` of a run.
    pub(crate) fn read(said: &str) -> Self {
        let of_line = |line: &str| {
            let (name, result) = line.trim().strip_prefix("case ")?.split_once(' ')?;
            Some((name.to_owned(), result.to_owned()))
        };
        Cases(said.lines().filter_map(of_line).collect())
    }

    /// Of the cases whose name begins so, at least so many have this in their result: what all fails is alike
    /// in any case.
    pub(crate) fn enough_pass(&self, start: &str, success: &str, least: usize) {
        let asked = self.0.iter().filter(|(name, _)| name.starts_with(start));
        let (passed, failed): (Vec<_>, Vec<_>) =
            asked.partition(|(_, found)| found.contains(success));
        let (passed, all) = (passed.len(), passed.len() + failed.len());
        eprintln!("{passed} of {all} pass as they are, these do not: {failed:?}");
        assert!(passed >= least, "{passed} pass, not {least}");
    }

    /// The names of the cases that ended in each way.
    pub(crate) fn by_result(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut ways = BTreeMap::<&str, Vec<&str>>::new();
        for (name, result) in &self.0 {
            ways.entry(result).or_default().push(name);
        }
        ways
    }

    /// What ended differently as rewritten, or not at all.
    pub(crate) fn differences(&self, rewritten: &Cases) -> Vec<Difference> {
        let none = String::from("nothing");
        let names: BTreeSet<&String> = self.0.keys().chain(rewritten.0.keys()).collect();
        let both = |name: &&String| {
            let of = |cases: &Cases| cases.0.get(*name).unwrap_or(&none).clone();
            (of(self), of(rewritten))
        };
        names
            .into_iter()
            .map(|name| (name, both(&name)))
            .filter(|(_, (original, rewritten))| original != rewritten)
            .map(|(name, (original, rewritten))| Difference {
                case: name.clone(),
                original: [original].into(),
                rewritten: [rewritten].into(),
            })
            .collect()
    }
}

/// Runs what differs again, by both, `times` times. Tests of clocks and loads fail now and then on their
/// own: one that ended alike once does not differ.
pub(crate) fn that_stay(
    mut differences: Vec<Difference>,
    times: usize,
    mut again: impl FnMut(&[&str]) -> [Cases; 2],
) -> Vec<Difference> {
    for _ in 0..times {
        if differences.is_empty() {
            break;
        }
        eprintln!("once more: {differences:#?}");
        let names: Vec<&str> = differences.iter().map(|d| d.case.as_str()).collect();
        let [original, rewritten] = again(&names);
        for difference in &mut differences {
            difference
                .original
                .extend(original.0.get(&difference.case).cloned());
            difference
                .rewritten
                .extend(rewritten.0.get(&difference.case).cloned());
        }
        differences.retain(|d| d.original.is_disjoint(&d.rewritten));
    }
    differences
}
