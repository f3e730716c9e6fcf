//! How an image's own health check tells that its application is ready.
//!
//! The check is a program that a container runtime runs beside the application. A guest has one
//! program, so it is asked from outside instead: the port that the check talks to has to accept a
//! connection.

use lupine_rootfs::config::{HealthTest, ImageConfig};

use crate::manifest::{Check, Health};

/// Seconds that any guest has.
const LEAST: u64 = 60;

/// The check in the manifest's terms: on the port of the URL that the test asks, else on the first
/// of `ports`. `None` where the image has no test or no port.
pub(super) fn of_image(config: &ImageConfig, ports: &[u16]) -> Option<Health> {
    let check = config.health_check.as_ref()?;
    let text = match &check.test {
        HealthTest::Inherit | HealthTest::None => return None,
        HealthTest::Shell(line) => line.to_vec(),
        HealthTest::Command(words) => words
            .iter()
            .map(|word| &**word)
            .collect::<Vec<_>>()
            .join(&b' '),
    };
    let port = port_of_url(&String::from_utf8_lossy(&text)).or(ports.first().copied())?;
    Some(Health {
        check: Check::Tcp { port },
        time_limit_s: LEAST.max(check.start_period.div_ceil(1_000_000_000)),
    })
}

/// The port of the first URL that leads to the application's own machine.
fn port_of_url(text: &str) -> Option<u16> {
    let hosts = ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"];
    let after = |scheme: &str| text.split_once(scheme).map(|(_, rest)| rest);
    let (rest, usual) = after("http://")
        .map(|rest| (rest, 80))
        .or(after("https://").map(|rest| (rest, 443)))?;
    let rest = hosts.iter().find_map(|host| rest.strip_prefix(host))?;
    let Some(port) = rest.strip_prefix(':') else {
        return Some(usual);
    };
    let end = port.find(|c: char| !c.is_ascii_digit());
    port[..end.unwrap_or(port.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(json: &str, ports: &[u16]) -> Option<(u16, u64)> {
        let text = format!("{{\"config\": {{\"Healthcheck\": {json}}}}}");
        let config = ImageConfig::from_json(text.as_bytes()).unwrap();
        of_image(&config, ports).map(|health| match health.check {
            Check::Tcp { port } => (port, health.time_limit_s),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn the_port_is_that_of_the_url_or_the_first_exposed() {
        let shell = |line: &str| format!("{{\"Test\": [\"CMD-SHELL\", \"{line}\"]}}");
        for (line, ports, port) in [
            (
                "curl -f http://localhost:8080/health || exit 1",
                &[80][..],
                Some(8080),
            ),
            ("curl -f http://127.0.0.1/ || exit 1", &[], Some(80)),
            ("wget -q --spider https://localhost", &[], Some(443)),
            ("redis-cli ping", &[6379, 1], Some(6379)),
            ("curl http://localhost:$PORT/", &[3000], Some(3000)),
            ("curl http://example.org:99/", &[3000], Some(3000)),
            ("redis-cli ping", &[], None),
        ] {
            let found = health(&shell(line), ports).map(|(port, _)| port);
            assert_eq!(found, port, "{line}");
        }
    }

    #[test]
    fn words_and_start_periods_count_and_none_is_none() {
        let words =
            r#"{"Test": ["CMD", "curl", "http://[::1]:9000/"], "StartPeriod": 90500000000}"#;
        assert_eq!(health(words, &[]), Some((9000, 91)));
        assert_eq!(health(r#"{"Test": ["NONE"]}"#, &[80]), None);
        assert_eq!(health(r#"{"Test": []}"#, &[80]), None);
    }
}
