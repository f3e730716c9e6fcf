//! Trees: insertion, links, layers, walks.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use lupine_rootfs::{FileTree, Inode, Kind, Metadata, TreeError, TreePath};

fn path(path: &str) -> TreePath {
    TreePath::new(path).unwrap()
}

fn names(tree: &FileTree) -> Vec<String> {
    tree.walk()
        .skip(1)
        .map(|(path, _)| String::from_utf8(path.as_bytes().to_vec()).unwrap())
        .collect()
}

fn file(tree: &mut FileTree, path: &str) {
    tree.add_file(path, *b"x", 0o644).unwrap();
}

#[test]
fn walks_are_in_the_order_of_names_whatever_came_first() {
    let mut tree = FileTree::new();
    for name in ["b/z", "a", "b/a/c", "c"] {
        file(&mut tree, name);
    }
    assert_eq!(names(&tree), ["a", "b", "b/a", "b/a/c", "b/z", "c"]);
    assert_eq!(tree.len(), 7);
}

#[test]
fn links_in_parents_are_followed_within_the_root() {
    let mut tree = FileTree::new();
    tree.add_directory("usr/lib", 0o755).unwrap();
    tree.add_symlink("lib", "usr/lib").unwrap();
    tree.add_symlink("usr/up", "../../../..").unwrap();
    tree.add_symlink("absolute", "/usr/lib").unwrap();
    tree.add_symlink("dangling", "new/place").unwrap();
    file(&mut tree, "lib/a");
    file(&mut tree, "usr/up/top");
    file(&mut tree, "absolute/b");
    file(&mut tree, "dangling/c");
    for name in ["usr/lib/a", "top", "usr/lib/b", "new/place/c"] {
        assert!(tree.lookup(&path(name)).is_some(), "{name}");
    }
    assert_eq!(
        tree.resolve(&path("lib/b")).ok(),
        tree.lookup(&path("usr/lib/b"))
    );
}

#[test]
fn loops_and_files_in_the_way_are_refused() {
    let mut tree = FileTree::new();
    tree.add_symlink("a", "b").unwrap();
    tree.add_symlink("b", "a").unwrap();
    let looped = tree.add_file("a/f", *b"", 0o644);
    assert!(
        matches!(looped, Err(TreeError::SymlinkLoop { .. })),
        "{looped:?}"
    );
    file(&mut tree, "f");
    let inside = tree.add_file("f/g", *b"", 0o644);
    assert!(
        matches!(inside, Err(TreeError::NotADirectory { .. })),
        "{inside:?}"
    );
    let root = tree.insert(
        &TreePath::root(),
        Inode::new(Kind::Fifo, Metadata::with_mode(0)),
    );
    assert!(matches!(root, Err(TreeError::Root { .. })), "{root:?}");
    let directory = tree.add_directory("d", 0o755).unwrap();
    let linked = tree.hard_link(&path("e"), directory);
    assert!(
        matches!(linked, Err(TreeError::LinkToDirectory { .. })),
        "{linked:?}"
    );
}

#[test]
fn hard_links_are_counted_and_the_last_name_takes_the_file_along() {
    let mut tree = FileTree::new();
    let id = tree.add_file("a", *b"x", 0o644).unwrap();
    tree.hard_link(&path("b"), id).unwrap();
    tree.hard_link(&path("b"), id).unwrap();
    assert_eq!(tree.link_count(id), 2);
    assert!(tree.remove(&path("a")).unwrap());
    assert_eq!(tree.link_count(id), 1);
    assert!(tree.remove(&path("b")).unwrap());
    assert!(!tree.remove(&path("b")).unwrap());
    assert!(tree.is_empty());
}

#[test]
fn a_directory_keeps_its_entries_when_it_is_put_again_and_a_file_replaces_it() {
    let mut tree = FileTree::new();
    file(&mut tree, "d/e/f");
    let id = tree.add_directory("d", 0o700).unwrap();
    assert_eq!(tree.inode(id).metadata.mode, 0o700);
    assert_eq!(names(&tree), ["d", "d/e", "d/e/f"]);
    file(&mut tree, "d");
    assert_eq!(names(&tree), ["d"]);
    assert_eq!(tree.len(), 2);
}

#[test]
fn whiteouts_hide_earlier_layers_only() {
    let mut tree = FileTree::new();
    for name in ["etc/a", "etc/b", "var/log/x", "opt/p/q"] {
        file(&mut tree, name);
    }
    tree.begin_layer();
    // Markers before and behind the new entries of their layer.
    assert!(tree.whiteout(&path("etc/a")).unwrap());
    file(&mut tree, "etc/a");
    file(&mut tree, "etc/b");
    assert!(!tree.whiteout(&path("etc/b")).unwrap());
    assert!(!tree.whiteout(&path("etc/none")).unwrap());
    file(&mut tree, "var/new");
    tree.make_opaque(&path("var")).unwrap();
    assert!(tree.whiteout(&path("opt")).unwrap());
    assert_eq!(names(&tree), ["etc", "etc/a", "etc/b", "var", "var/new"]);
}

#[test]
fn opaque_directories_keep_what_their_layer_put_deep_below() {
    let mut tree = FileTree::new();
    file(&mut tree, "a/b/c/old");
    file(&mut tree, "a/b/old");
    tree.begin_layer();
    file(&mut tree, "a/b/c/new");
    tree.make_opaque(&path("a")).unwrap();
    tree.make_opaque(&path("a")).unwrap();
    assert_eq!(names(&tree), ["a", "a/b", "a/b/c", "a/b/c/new"]);
    tree.begin_layer();
    tree.make_opaque(&TreePath::root()).unwrap();
    assert!(tree.is_empty());
}

#[test]
fn deep_trees_do_not_exhaust_the_stack() {
    let mut tree = FileTree::new();
    let deep = "d/".repeat(2040);
    file(&mut tree, &format!("{deep}f"));
    tree.add_symlink("short", &deep).unwrap();
    // Deeper by way of the link than a path can be long.
    let refused = tree.add_file(format!("short/{}f", "e/".repeat(20)), *b"", 0o644);
    assert!(matches!(refused, Err(TreeError::Path(_))), "{refused:?}");
    assert_eq!(tree.walk().count(), tree.len());
    assert!(tree.remove(&path("d")).unwrap());
    assert_eq!(names(&tree), ["short"]);
}
