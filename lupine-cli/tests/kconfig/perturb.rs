//! Configurations as people leave them behind: edited, merged, truncated, out of date.

use crate::random::Random;

/// Changes about `percent` of 100 lines of `config` in ways that `conf` must cope with.
pub(crate) fn perturb(config: &[u8], percent: usize, random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<String> = String::from_utf8_lossy(config)
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    let originals = lines.clone();
    for line in &mut lines {
        if random.chance(percent) {
            change(line, random);
        }
    }
    // Reassignments, as merging fragments makes them.
    for _ in 0..random.below(8) {
        let mut line = originals[random.below(originals.len())].clone();
        change(&mut line, random);
        let place = random.below(lines.len() + 1);
        lines.insert(place, line);
    }
    if random.chance(30) {
        let junk = random.pick(&[
            "CONFIG_NO_SUCH_OPTION=y",
            "# CONFIG_NO_SUCH_OPTION_EITHER is not set",
            "nonsense",
            "CONFIG_=y",
            "CONFIG_X86",
            "  CONFIG_NET=y",
            "#CONFIG_NET is not set",
            "CONFIG_NET = y",
        ]);
        let place = random.below(lines.len() + 1);
        lines.insert(place, junk.to_owned());
    }
    let mut text = lines.join("\n");
    if random.chance(90) {
        text.push('\n');
    }
    text.into_bytes()
}

fn change(line: &mut String, random: &mut Random) {
    let unset = line
        .strip_prefix("# CONFIG_")
        .and_then(|rest| rest.strip_suffix(" is not set"))
        .map(ToOwned::to_owned);
    if let Some(name) = unset {
        *line = match random.below(5) {
            0 => String::new(),
            1 | 2 => format!("CONFIG_{name}=y"),
            3 => format!("CONFIG_{name}=m"),
            _ => format!("CONFIG_{name}=n"),
        };
        return;
    }
    let Some((name, value)) = line
        .strip_prefix("CONFIG_")
        .and_then(|rest| rest.split_once('='))
    else {
        return;
    };
    let name = name.to_owned();
    *line = match value {
        "y" | "m" => match random.below(6) {
            0 => String::new(),
            1 | 2 => format!("# CONFIG_{name} is not set"),
            3 => format!("CONFIG_{name}=m"),
            4 => format!("CONFIG_{name}=y"),
            _ => format!(
                "CONFIG_{name}={}",
                random.pick(&["yes", "x", "n", "\"y\"", "1", ""])
            ),
        },
        _ if value.starts_with('"') => match random.below(5) {
            0 => String::new(),
            1 => format!("CONFIG_{name}=\"\""),
            2 => format!("CONFIG_{name}=\"a \\\"quoted\\\" \\\\ word\""),
            3 => format!("CONFIG_{name}=\"unterminated"),
            _ => format!("CONFIG_{name}=unquoted"),
        },
        _ => match random.below(5) {
            0 => String::new(),
            1 => format!("# CONFIG_{name} is not set"),
            _ => {
                let number = random.pick(&[
                    "0", "1", "-1", "007", "16", "64", "4096", "99999999", "0x10", "0X1f", "ff",
                    "0x", "", "12abc",
                ]);
                format!("CONFIG_{name}={number}")
            }
        },
    };
}
