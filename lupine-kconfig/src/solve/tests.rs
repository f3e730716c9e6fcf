use super::*;
use crate::{Dialect, Environment, MemoryFiles, RefuseShell};

fn tree(text: &str) -> Kconfig {
    let files = MemoryFiles::from([("Kconfig", text)]);
    Kconfig::load(
        &files,
        "Kconfig",
        &Environment::new(),
        &RefuseShell,
        Dialect::LINUX_6_12,
    )
    .unwrap()
}

fn require(requirements: &[(&str, &str)]) -> Vec<Requirement> {
    requirements
        .iter()
        .map(|(name, value)| Requirement::new(*name, *value, ""))
        .collect()
}

fn set(text: &str, requirements: &[(&str, &str)]) -> Vec<String> {
    let tree = tree(text);
    let solution = solve(&tree, &require(requirements)).unwrap();
    let mut config = solution.config;
    for (name, value) in requirements {
        assert_eq!(config.value(name).as_deref(), Some(*value), "{name}");
    }
    solution
        .added
        .iter()
        .map(|added| format!("{}={}", added.name, added.value))
        .collect()
}

const MODULES: &str = "config MODULES\n\tbool \"modules\"\n\tmodules\n\n";

#[test]
fn dependencies_are_turned_on() {
    let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\n\
                config C\n\tbool \"c\"\n\tdepends on B && !D\n\nconfig D\n\tbool \"d\"\n";
    assert_eq!(set(text, &[("C", "y")]), ["A=y", "B=y", "C=y"]);
}

#[test]
fn the_alternative_that_changes_least_is_taken() {
    let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\n\
                config C\n\tbool \"c\"\n\nconfig D\n\tbool \"d\"\n\tdepends on B || C\n";
    assert_eq!(set(text, &[("D", "y")]), ["C=y", "D=y"]);
}

#[test]
fn a_closed_alternative_gives_way_to_the_next() {
    let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\n\
                config D\n\tbool \"d\"\n\tdepends on A || B\n";
    assert_eq!(set(text, &[("D", "y")]), ["A=y", "D=y"]);
    assert_eq!(set(text, &[("D", "y"), ("A", "n")]), ["B=y", "D=y"]);
}

#[test]
fn symbols_without_prompt_are_selected() {
    let text = "config LIB\n\tbool\n\nconfig USER\n\tbool \"user\"\n\tselect LIB\n\n\
                config NEEDS\n\tbool \"needs\"\n\tdepends on LIB\n";
    assert_eq!(set(text, &[("NEEDS", "y")]), ["USER=y", "NEEDS=y"]);
}

#[test]
fn a_selector_must_not_break_dependencies() {
    let text = "config BUS\n\tbool \"bus\"\n\nconfig LIB\n\tbool\n\tdepends on BUS\n\n\
                config USER\n\tbool \"user\"\n\tselect LIB\n";
    assert_eq!(set(text, &[("LIB", "y")]), ["BUS=y", "USER=y"]);
    assert_eq!(set(text, &[("USER", "y")]), ["BUS=y", "USER=y"]);
}

#[test]
fn choices_have_one_member() {
    let text = "choice\n\tprompt \"c\"\n\nconfig A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\n\
                config C\n\tbool \"c\"\n\nendchoice\n";
    assert_eq!(set(text, &[("C", "y")]), ["C=y"]);
    assert_eq!(set(text, &[("A", "n")]), ["B=y"]);
    let tree = tree(text);
    let found = solve(&tree, &require(&[("A", "y"), ("C", "y")]));
    let Err(SolveError::Conflict(conflict)) = found else {
        panic!("{found:?}")
    };
    assert_eq!(conflict.requirements.len(), 2);
    assert!(!conflict.obstacles.is_empty());
}

/// Two requirements that clash are named before the ways round that are closed as well.
#[test]
fn the_direct_clash_comes_first() {
    let mut text = "config BUS\n\tbool \"bus\"\n\nconfig NET\n\tbool \"net\"\n\tdepends on BUS\n\n\
                    config CARD\n\tbool \"card\"\n\tdepends on NET && BUS\n\n"
        .to_owned();
    for other in 0..20 {
        text += &format!("config OTHER{other}\n\tbool \"o\"\n\tdepends on BUS\n\tselect NET\n\n");
    }
    let tree = tree(&text);
    let found = solve(&tree, &require(&[("CARD", "y"), ("BUS", "n")]));
    let Err(SolveError::Conflict(conflict)) = found else {
        panic!("{found:?}")
    };
    assert_eq!(conflict.requirements.len(), 2);
    assert!(conflict.obstacles.len() > 1);
    let first = &conflict.obstacles[0];
    assert!(first.starts_with("BUS (for BUS=n)"), "{first}");
    assert!(!first.contains("OTHER"), "{first}");
}

#[test]
fn modules_are_turned_on_for_m_only() {
    let text = format!("{MODULES}config T\n\ttristate \"t\"\n");
    assert_eq!(set(&text, &[("T", "y")]), ["T=y"]);
    assert_eq!(set(&text, &[("T", "m")]), ["MODULES=y", "T=m"]);
}

#[test]
fn numbers_and_texts_are_set_where_they_are_visible() {
    let text = "config A\n\tbool \"a\"\n\nconfig N\n\tint \"n\" if A\n\trange 1 9\n\tdefault 4\n\n\
                config S\n\tstring \"s\"\n\nconfig D\n\tbool \"d\"\n\tdepends on N > 6\n";
    assert_eq!(set(text, &[("N", "4")]), Vec::<String>::new());
    assert_eq!(set(text, &[("N", "7")]), ["A=y", "N=7"]);
    assert_eq!(set(text, &[("S", "a b")]), ["S=a b"]);
    assert_eq!(set(text, &[("D", "y")]), ["A=y", "N=7", "D=y"]);
    let tree = tree(text);
    assert!(matches!(
        solve(&tree, &require(&[("N", "12")])),
        Err(SolveError::Conflict(_))
    ));
}

#[test]
fn a_conflict_is_minimal() {
    let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\n\
                config C\n\tbool \"c\"\n\tdepends on !A\n\nconfig D\n\tbool \"d\"\n";
    let tree = tree(text);
    let found = solve(
        &tree,
        &require(&[("D", "y"), ("B", "y"), ("A", "y"), ("C", "y")]),
    );
    let Err(SolveError::Conflict(conflict)) = found else {
        panic!("{found:?}")
    };
    let names: Vec<&str> = conflict
        .requirements
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    assert_eq!(names, ["A", "C"]);
}

#[test]
fn what_is_never_on_is_a_conflict_of_its_own() {
    let text = "config A\n\tbool\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n";
    let tree = tree(text);
    let found = solve(&tree, &require(&[("B", "y")]));
    let Err(SolveError::Conflict(conflict)) = found else {
        panic!("{found:?}")
    };
    assert_eq!(conflict.requirements.len(), 1);
    assert!(
        conflict.to_string().contains("A (for B, which B=y needs)")
            || !conflict.obstacles.is_empty()
    );
}

#[test]
fn nonsense_is_named() {
    let tree = tree("config A\n\tbool \"a\"\n\nconfig N\n\tint \"n\"\n");
    for (name, value) in [("GONE", "y"), ("A", "m"), ("A", "maybe"), ("N", "x")] {
        let found = solve(&tree, &require(&[(name, value)]));
        match (name, found) {
            ("GONE", Err(SolveError::UnknownSymbol { .. })) => {}
            (_, Err(SolveError::InvalidValue { .. })) => {}
            (_, other) => panic!("{name}={value}: {other:?}"),
        }
    }
}

#[test]
fn reasons_name_the_way() {
    let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\n\
                config C\n\tbool \"c\"\n\tdepends on B\n";
    let tree = tree(text);
    let solution = solve(&tree, &[Requirement::new("C", "y", "for fun")]).unwrap();
    let reasons: Vec<String> = solution
        .added
        .iter()
        .map(|added| added.because.to_string())
        .collect();
    assert_eq!(
        reasons,
        [
            "B depends on it, for C (for fun)",
            "C depends on it (for fun)",
            "required (for fun)"
        ]
    );
}
