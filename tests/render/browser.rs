//! What headless Chromium makes of the page: no errors, nothing loaded, something drawn, nothing
//! cut off.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lupine::measure::render::html;
use lupine::process::{Cancel, Output, Task, find_program};

use crate::example::realistic;

/// The page's own policy, which lets nothing run or load.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The browser; without one a loud skip at home, an error in CI.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.into_iter().find_map(find_program);
    if found.is_none() {
        let missing = "no chromium (apt-get install chromium)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("SKIPPED: {missing}");
    }
    found
}

#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    Light,
    Dark,
}

struct Session {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Session {
    fn new() -> Option<Session> {
        Some(Session {
            program: browser()?,
            folder: tempfile::tempdir().unwrap(),
        })
    }

    fn run(&self, page: &str, scheme: Scheme, size: (u32, u32), what: &[String]) -> Output {
        let file = self.folder.path().join("page.html");
        fs::write(&file, page).unwrap();
        let scheme = if scheme == Scheme::Dark { 0 } else { 1 };
        Task::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-extensions",
            ])
            .args([
                "--hide-scrollbars",
                "--enable-logging=stderr",
                "--virtual-time-budget=3000",
            ])
            .arg(format!(
                "--user-data-dir={}",
                self.folder.path().join("profile").display()
            ))
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!("--window-size={},{}", size.0, size.1))
            .args(what.iter().map(String::as_str))
            .arg(format!("file://{}", file.display()))
            .env("HOME", self.folder.path())
            .time_limit(Duration::from_secs(120))
            .run_checked(&Cancel::new())
            .unwrap()
    }

    fn screenshot(&self, page: &str, scheme: Scheme, size: (u32, u32)) -> (Picture, Vec<String>) {
        let file = self.folder.path().join("page.png");
        let output = self.run(
            page,
            scheme,
            size,
            &[format!("--screenshot={}", file.display())],
        );
        keep(&file, scheme, size);
        (Picture::read(&file), console(&output))
    }

    fn dom(&self, page: &str, width: u32) -> String {
        let output = self.run(
            page,
            Scheme::Light,
            (width, 900),
            &["--dump-dom".to_owned()],
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Copies page and picture where `LUPINE_SCREENSHOTS` says, for people to look at.
fn keep(file: &Path, scheme: Scheme, (width, height): (u32, u32)) {
    if let Some(folder) = std::env::var_os("LUPINE_SCREENSHOTS") {
        let scheme = if scheme == Scheme::Dark {
            "dark"
        } else {
            "light"
        };
        let folder = PathBuf::from(folder);
        fs::copy(
            file,
            folder.join(format!("report-{scheme}-{width}x{height}.png")),
        )
        .unwrap();
        fs::copy(file.with_extension("html"), folder.join("report.html")).unwrap();
    }
}

/// What the page wrote to the console: scripts, refused loads, errors.
fn console(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines()
        .filter(|line| line.contains("CONSOLE"))
        .map(str::to_owned)
        .collect()
}

struct Picture {
    colours: BTreeMap<[u8; 3], usize>,
    corner: [u8; 3],
}

impl Picture {
    fn read(file: &Path) -> Picture {
        let reader = png::Decoder::new(std::io::BufReader::new(File::open(file).unwrap()));
        let mut reader = reader.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let width = info.color_type.samples();
        let mut colours = BTreeMap::new();
        for pixel in bytes.chunks_exact(width) {
            *colours.entry([pixel[0], pixel[1], pixel[2]]).or_default() += 1;
        }
        Picture {
            colours,
            corner: [bytes[0], bytes[1], bytes[2]],
        }
    }

    /// How many pixels have exactly this colour.
    fn count(&self, colour: [u8; 3]) -> usize {
        self.colours.get(&colour).copied().unwrap_or_default()
    }
}

/// The colours of the lupine variant's meters and of the largest directory, from the style sheet.
fn drawn(scheme: Scheme) -> [[u8; 3]; 2] {
    match scheme {
        Scheme::Light => [[0x2f, 0x66, 0xd0], [0x35, 0x57, 0x8f]],
        Scheme::Dark => [[0x6c, 0x9c, 0xff], [0x86, 0xa8, 0xe0]],
    }
}

#[test]
fn light_and_dark_pages_are_drawn_without_errors() {
    let Some(session) = Session::new() else {
        return;
    };
    let page = html(&realistic(true));
    assert!(page.contains(POLICY));
    for scheme in [Scheme::Light, Scheme::Dark] {
        let (picture, console) = session.screenshot(&page, scheme, (1200, 5000));
        assert!(console.is_empty(), "{console:?}");
        let bright = picture.corner.iter().all(|&part| part > 200);
        let dark = picture.corner.iter().all(|&part| part < 60);
        assert!(
            if scheme == Scheme::Dark { dark } else { bright },
            "{:?}",
            picture.corner
        );
        assert!(
            picture.colours.len() > 100,
            "{} colours",
            picture.colours.len()
        );
        for colour in drawn(scheme) {
            assert!(
                picture.count(colour) > 1000,
                "{colour:x?}: {}",
                picture.count(colour)
            );
        }
    }
}

#[test]
fn the_console_tells_of_what_a_page_tries_to_load() {
    let Some(session) = Session::new() else {
        return;
    };
    let page = html(&realistic(true));
    let page = page.replace(
        "</main>",
        "<img src=\"file:///nothing.png\"><script>1</script></main>",
    );
    let (_, console) = session.screenshot(&page, Scheme::Light, (800, 600));
    assert!(
        console.len() >= 2,
        "the check of the other test sees nothing: {console:?}"
    );
}

/// Writes the window's width, the page's, and how many plots are shown into the title.
const MEASURE: &str = "<script>addEventListener('load', () => {
    const wide = document.documentElement.scrollWidth;
    const shown = [...document.querySelectorAll('svg')].filter(
        svg => svg.getBoundingClientRect().height > 20 && svg.querySelector('title'));
    document.title = ['RESULT', innerWidth, wide, shown.length].join(' ');
})</script></main>";

/// What the script found in a window of some width: the widths of window and page, and the plots.
fn measured(session: &Session, page: &str, width: u32) -> [u32; 3] {
    let page = page.replace(POLICY, "").replace("</main>", MEASURE);
    let dom = session.dom(&page, width);
    let (_, result) = dom.split_once("RESULT ").expect("the script has run");
    let result = result.split('<').next().unwrap();
    let numbers = result.split(' ').map(|number| number.parse().unwrap());
    numbers.collect::<Vec<u32>>().try_into().unwrap()
}

#[test]
fn nothing_is_wider_than_the_window() {
    let Some(session) = Session::new() else {
        return;
    };
    let page = html(&realistic(false));
    let expected = page.matches("<svg").count();
    for asked in [1200, 800, 500] {
        let [width, wide, plots] = measured(&session, &page, asked);
        assert_eq!(width, asked, "the window has the size that was asked for");
        assert!(wide <= width, "{wide} pixels in a window of {width}");
        assert_eq!(plots as usize, expected, "a plot without size or title");
    }
    let wider = page.replace("<main>", "<main><div style=\"width:3000px\">wide</div>");
    let [width, wide, _] = measured(&session, &wider, 800);
    assert!(wide > width, "the check does not see what is too wide");
}
