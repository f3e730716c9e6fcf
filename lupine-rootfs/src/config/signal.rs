//! Signals by name and number, as stop signals are given.

/// The standard signals of x86-64 Linux by number, 1 first (`signal(7)`).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The real-time signals as the C library numbers them; the first two of the kernel are its own.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

/// The number of a signal given by number (1 to 64) or by name, with or without `SIG`, in any
/// case; `RTMIN+3` and `RTMAX-2` are names, too. `None` for what is no signal.
pub fn signal_number(text: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_uppercase();
    if let Ok(number) = text.parse::<u8>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    if let Some(index) = NAMES.iter().position(|&known| known == name) {
        return Some(index as u8 + 1);
    }
    let distance = |rest: &str, sign| match rest.strip_prefix(sign) {
        Some(number) => number.parse::<u8>().ok(),
        None => rest.is_empty().then_some(0),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => RTMIN.checked_add(distance(rest, '+')?)?,
        (_, Some(rest)) => RTMAX.checked_sub(distance(rest, '-')?)?,
        _ => {
            return match name {
                "IOT" => Some(6),
                "CLD" => Some(17),
                "POLL" => Some(29),
                _ => None,
            };
        }
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGQUIT", Some(3)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-2", Some(62)),
            ("SIGRTMIN", Some(34)),
            ("SIGPOLL", Some(29)),
            ("SIGSYS", Some(31)),
            ("0", None),
            ("65", None),
            ("RTMIN+31", None),
            ("RTMAX-255", None),
            ("SIGNOTHING", None),
            ("", None),
        ] {
            assert_eq!(signal_number(text.as_bytes()), number, "{text}");
        }
    }
}
