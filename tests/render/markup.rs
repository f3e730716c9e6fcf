//! Judges of markup: tags that pair, SVG that an XML parser takes.

use std::collections::BTreeSet;

const VOID: [&str; 2] = ["meta", "br"];

/// A page's elements and attributes, or what is wrong with it.
pub(crate) struct Markup {
    /// The names of its elements.
    pub(crate) elements: BTreeSet<String>,
    /// Its attributes with their values, `name=value`.
    pub(crate) attributes: Vec<String>,
}

/// Reads a page in which every element is closed and every attribute is quoted.
pub(crate) fn read(page: &str) -> Result<Markup, String> {
    let mut found = Markup {
        elements: BTreeSet::new(),
        attributes: Vec::new(),
    };
    let mut open: Vec<String> = Vec::new();
    let mut rest = page
        .strip_prefix("<!DOCTYPE html>")
        .ok_or("no document type")?;
    while let Some(begin) = rest.find('<') {
        let text = &rest[begin + 1..];
        let (tag, after) = split_tag(text).ok_or_else(|| format!("an open tag: {text:.40}"))?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let expected = open.pop();
            if expected.as_deref() != Some(name) {
                return Err(format!("</{name}> closes {expected:?}"));
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("no element: <{tag}>"));
        }
        found.elements.insert(name.to_owned());
        read_attributes(attributes, &mut found.attributes)?;
        if !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        if name == "style" {
            rest = &rest[rest.find("</style>").ok_or("an open style")?..];
        }
    }
    if open.is_empty() {
        Ok(found)
    } else {
        Err(format!("still open: {open:?}"))
    }
}

/// The inside of a tag, and what follows it; `>` inside quotes does not end it.
fn split_tag(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (place, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return Some((&text[..place], &text[place + 1..])),
            _ => {}
        }
    }
    None
}

fn read_attributes(mut text: &str, found: &mut Vec<String>) -> Result<(), String> {
    while !text.trim().is_empty() {
        let (name, rest) = text
            .split_once("=\"")
            .ok_or_else(|| format!("no value: {text}"))?;
        let (value, rest) = rest
            .split_once('"')
            .ok_or_else(|| format!("no end: {text}"))?;
        let name = name.trim();
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || value.contains('<') {
            return Err(format!("no attribute: {name}={value}"));
        }
        found.push(format!("{name}={value}"));
        text = rest;
    }
    Ok(())
}

/// Every SVG of a page, as an XML parser reads it: how many elements they have in all.
pub(crate) fn svg_elements(page: &str) -> Result<usize, String> {
    let mut count = 0;
    for piece in page.split("<svg").skip(1) {
        let (inside, _) = piece.split_once("</svg>").ok_or("an open svg")?;
        let svg = format!("<svg{inside}</svg>");
        let document = roxmltree::Document::parse(&svg).map_err(|e| format!("{e}: {svg}"))?;
        count += document
            .descendants()
            .filter(roxmltree::Node::is_element)
            .count();
    }
    Ok(count)
}

#[test]
fn the_judge_sees_what_is_wrong() {
    for wrong in [
        "<p>",
        "<p></b>",
        "<p a=b></p>",
        "<p a=\"<\"></p>",
        "a < b",
        "<p on x></p>",
    ] {
        assert!(read(&format!("<!DOCTYPE html>{wrong}")).is_err(), "{wrong}");
    }
    assert!(svg_elements("<svg><a>&</a></svg>").is_err());
    let fine = read("<!DOCTYPE html><p a=\"b>\" c=\"\"><meta d=\"e\"></p>").unwrap();
    assert_eq!(fine.attributes, ["a=b>", "c=", "d=e"]);
}
