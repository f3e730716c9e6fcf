//! No bytes make the library panic: the property that the fuzz targets look for, with inputs of
//! every test run.

use lupine_kconfig::{Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};
use proptest::prelude::*;

fn load(text: &[u8], dialect: Dialect) -> Option<Kconfig> {
    let files = MemoryFiles::from([("Kconfig", text)]);
    Kconfig::load(
        &files,
        "Kconfig",
        &Environment::new(),
        &RefuseShell,
        dialect,
    )
    .ok()
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "config A\n",
        "\tbool \"a\"\n",
        "\ttristate\n",
        "\tint \"i\"\n",
        "choice\n",
        "endchoice\n",
        "menu \"m\"\n",
        "endmenu\n",
        "if A\n",
        "endif\n",
        "\tdepends on ",
        "A && B\n",
        "!(A || m)\n",
        "\tselect B\n",
        "\timply A if B\n",
        "\tdefault ",
        "y\n",
        "\trange 1 B\n",
        "\thelp\n\t  t\n",
        "$(A)",
        "$(shell,x)",
        "X = $(X)\n",
        "X := $(f,$(X))\n",
        "\"",
        "'",
        "(",
        ")",
        "\\\n",
        "\n",
        "source \"Kconfig\"\n",
        "comment \"c\"\n",
        "\tvisible if A\n",
        "\u{e9}",
        "\0",
        "\r\n",
        "= ",
        "config B\n",
        "\tmodules\n",
        "\tprompt \"p\" if A = 3\n",
        "mainmenu \"$(A)\"\n",
        "# ",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_kconfig(text in prop::collection::vec(any::<u8>(), 0..400)) {
        for dialect in Dialect::ALL {
            drop(load(&text, dialect.clone()));
        }
    }

    #[test]
    fn any_words_as_kconfig(text in words()) {
        for dialect in Dialect::ALL {
            if let Some(tree) = load(&text, dialect.clone()) {
                Configuration::new(&tree).write();
            }
        }
    }

    #[test]
    fn any_bytes_as_macro(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = [b"f = $(1)$(f,$(1))\nV := $(".as_slice(), &text, b")\n$(info,$(V))\n"].concat();
        drop(load(&text, Dialect::LINUX_6_12));
    }

    #[test]
    fn any_bytes_as_configuration(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let tree = "config A\n\tbool \"a\"\n\nconfig I\n\tint \"i\"\n\nconfig S\n\tstring \"s\"\n";
        let tree = load(tree.as_bytes(), Dialect::LINUX_6_12).unwrap();
        let lines = [b"CONFIG_S=\"".as_slice(), &text, b"\nCONFIG_I=", &text, b"\n", &text].concat();
        let mut config = Configuration::new(&tree);
        config.read(&lines);
        let first = config.write();
        let mut again = Configuration::new(&tree);
        again.read(&first);
        prop_assert_eq!(again.write(), first);
    }
}
