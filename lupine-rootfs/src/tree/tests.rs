//! The tree against a map from paths to inodes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::content::{Data, Extent};
use crate::path::TreePath;

/// A file and the layer that last named it. The same file under two names is the same `Rc`.
type Named = (Rc<Inode>, u32);

#[derive(Debug, Default)]
struct Model {
    entries: BTreeMap<Vec<u8>, Named>,
    layer: u32,
}

impl Model {
    fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || matches!(self.entries.get(path), Some((i, _)) if i.kind.is_directory())
    }

    fn below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let inside = |other: &&Vec<u8>| {
            let rest = other.strip_prefix(path);
            path.is_empty() || rest.is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        self.entries.keys().filter(inside).cloned().collect()
    }

    fn remove(&mut self, path: &[u8]) -> bool {
        for below in self.below(path) {
            self.entries.remove(&below);
        }
        self.entries.remove(path).is_some()
    }

    /// Makes the parents; false where one of them is no directory.
    fn place(&mut self, path: &[u8]) -> bool {
        let slashes = (0..path.len()).filter(|&at| path[at] == b'/');
        let parents: Vec<&[u8]> = slashes.map(|at| &path[..at]).collect();
        let blocked =
            |parent: &&[u8]| self.entries.contains_key(*parent) && !self.is_directory(parent);
        if parents.iter().any(blocked) {
            return false;
        }
        for parent in parents {
            let made = Inode::new(Kind::Directory, Metadata::with_mode(0o755));
            let layer = self.layer;
            let entry = self.entries.entry(parent.to_vec());
            entry.or_insert_with(|| (Rc::new(made), layer));
        }
        true
    }

    fn put(&mut self, path: &[u8], inode: Rc<Inode>) -> bool {
        if !self.place(path) {
            return false;
        }
        if !(inode.kind.is_directory() && self.is_directory(path)) {
            self.remove(path);
        }
        self.entries.insert(path.to_vec(), (inode, self.layer));
        true
    }

    fn prune(&mut self, path: &[u8]) {
        for below in self.below(path).into_iter().rev() {
            if self.entries[&below].1 < self.layer && self.below(&below).is_empty() {
                self.entries.remove(&below);
            }
        }
    }

    fn whiteout(&mut self, path: &[u8]) -> bool {
        let Some((_, layer)) = self.entries.get(path) else {
            return false;
        };
        let lower = *layer < self.layer;
        self.prune(path);
        if lower && self.below(path).is_empty() {
            self.entries.remove(path);
        }
        lower
    }

    /// Changes a file under all its names.
    fn change(&mut self, path: &[u8], change: impl FnOnce(&mut Inode)) {
        let old = Rc::clone(&self.entries[path].0);
        let mut inode = Inode::clone(&old);
        change(&mut inode);
        let new = Rc::new(inode);
        for (inode, _) in self.entries.values_mut() {
            if Rc::ptr_eq(inode, &old) {
                *inode = Rc::clone(&new);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<u8>, Inode),
    HardLink(Vec<u8>, prop::sample::Index),
    Remove(Vec<u8>),
    Layer,
    Whiteout(Vec<u8>),
    Opaque(Vec<u8>),
    Metadata(prop::sample::Index, Metadata),
    Xattrs(prop::sample::Index, Xattrs),
    Content(prop::sample::Index, Content),
}

/// Paths without the names of symbolic links, which trees follow and the model does not.
fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&b"abc"[..]), 1..4)
        .prop_map(|names| names.chunks(1).collect::<Vec<_>>().join(&b'/'))
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..3, Just(1_u64 << 33), any::<u64>()]
}

fn content() -> impl Strategy<Value = Content> {
    let source = (0_u32..3).prop_map(SourceId);
    let sparse = (source.clone(), number(), 1_u64..9).prop_map(|(source, index, offset)| {
        let extent = Extent { offset, len: 2 };
        Content::sparse(source, index, 20, vec![extent]).unwrap()
    });
    prop_oneof![
        number().prop_map(Content::hole),
        (source, number(), number())
            .prop_map(|(source, index, len)| Content::from_source(source, index, len)),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Content::inline),
        sparse,
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let few = prop_oneof![Just(0_u32), any::<u32>()];
    let mtime = prop_oneof![0_i64..3, any::<i64>()];
    (0_u16..0o10000, few, 0_u32..2, mtime).prop_map(|(mode, uid, gid, mtime)| Metadata {
        mode: mode & 0o700,
        uid,
        gid,
        mtime,
    })
}

fn xattrs() -> impl Strategy<Value = Xattrs> {
    let value = prop::collection::vec(0_u8..2, 0..2);
    prop::collection::btree_map(Just(b"user.a".to_vec()), value, 0..2)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Directory),
        6 => content().prop_map(Kind::Regular),
        2 => prop::collection::vec(1_u8..255, 1..4).prop_map(|target| Kind::Symlink(target.into())),
        1 => any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        1 => any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let inserted =
        (path(), kind(), metadata(), xattrs()).prop_map(|(path, kind, metadata, xattrs)| {
            let path = end(path, matches!(kind, Kind::Symlink(_)));
            Step::Insert(path, Inode::new(kind, metadata).with_xattrs(xattrs))
        });
    let which = any::<prop::sample::Index>;
    prop_oneof![
        10 => inserted,
        3 => (path(), which()).prop_map(|(path, which)| Step::HardLink(path, which)),
        2 => path().prop_map(Step::Remove),
        1 => Just(Step::Layer),
        2 => path().prop_map(Step::Whiteout),
        1 => path().prop_map(Step::Opaque),
        1 => (which(), metadata()).prop_map(|(which, metadata)| Step::Metadata(which, metadata)),
        1 => (which(), xattrs()).prop_map(|(which, xattrs)| Step::Xattrs(which, xattrs)),
        1 => (which(), content()).prop_map(|(which, content)| Step::Content(which, content)),
    ]
}

/// The path with the name of a symbolic link at its end.
fn end(mut path: Vec<u8>, symlink: bool) -> Vec<u8> {
    if symlink && let Some(last) = path.last_mut() {
        *last = b's';
    }
    path
}

fn apply(tree: &mut FileTree, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    let at = |path: &[u8]| TreePath::new(path).unwrap();
    let chosen = |model: &Model, which: prop::sample::Index| {
        let names: Vec<&Vec<u8>> = model.entries.keys().collect();
        (!names.is_empty()).then(|| (*which.get(&names)).clone())
    };
    match step {
        Step::Insert(path, inode) => {
            let done = tree.insert(&at(&path), inode.clone());
            prop_assert_eq!(done.is_ok(), model.put(&path, Rc::new(inode)));
        }
        Step::HardLink(path, which) => {
            let Some(target) = chosen(model, which) else {
                return Ok(());
            };
            let id = tree.lookup(&at(&target)).unwrap();
            let inode = Rc::clone(&model.entries[&target].0);
            let path = end(path, matches!(inode.kind, Kind::Symlink(_)));
            let done = tree.hard_link(&at(&path), id);
            let possible = !inode.kind.is_directory() && model.put(&path, inode);
            prop_assert_eq!(done.is_ok(), possible);
        }
        Step::Remove(path) => {
            let done = tree.remove(&at(&path)).unwrap();
            prop_assert_eq!(done, model.remove(&path));
        }
        Step::Layer => {
            tree.begin_layer();
            model.layer += 1;
        }
        Step::Whiteout(path) => {
            let done = tree.whiteout(&at(&path)).unwrap();
            prop_assert_eq!(done, model.whiteout(&path));
        }
        Step::Opaque(path) => {
            tree.make_opaque(&at(&path)).unwrap();
            model.prune(&path);
        }
        Step::Metadata(which, metadata) => {
            if let Some(path) = chosen(model, which) {
                tree.set_metadata(tree.lookup(&at(&path)).unwrap(), metadata);
                model.change(&path, |inode| inode.metadata = metadata);
            }
        }
        Step::Xattrs(which, xattrs) => {
            if let Some(path) = chosen(model, which) {
                tree.set_xattrs(tree.lookup(&at(&path)).unwrap(), xattrs.clone());
                model.change(&path, |inode| *inode = inode.clone().with_xattrs(xattrs));
            }
        }
        Step::Content(which, content) => {
            if let Some(path) = chosen(model, which) {
                let done = tree.set_content(tree.lookup(&at(&path)).unwrap(), content.clone());
                let regular = model.entries[&path].0.content().is_some();
                prop_assert_eq!(done.is_ok(), regular);
                if regular {
                    model.change(&path, |inode| inode.kind = Kind::Regular(content));
                }
            }
        }
    }
    Ok(())
}

fn compare(tree: &FileTree, model: &Model) -> Result<(), TestCaseError> {
    let mut ids: HashMap<InodeId, *const Inode> = HashMap::new();
    let mut tables = [1, 0, 0];
    let mut walk = tree.walk().skip(1);
    for (path, (inode, _)) in &model.entries {
        let (found, id) = walk.next().unwrap();
        prop_assert_eq!(found.as_bytes(), path);
        prop_assert_eq!(&tree.inode(id), &**inode);
        prop_assert_eq!(tree.content(id), inode.content().cloned());
        prop_assert_eq!(tree.is_directory(id), inode.kind.is_directory());
        prop_assert_eq!(tree.type_bits(id), inode.kind.type_bits());
        prop_assert_eq!(tree.link_count(id) as usize, Rc::strong_count(inode));
        if let Some(before) = ids.insert(id, Rc::as_ptr(inode)) {
            prop_assert_eq!(before, Rc::as_ptr(inode));
            continue;
        }
        match &inode.kind {
            Kind::Directory => tables[0] += 1,
            Kind::Symlink(_) => tables[1] += 1,
            Kind::Regular(content) => match content.data {
                Data::Inline(_) | Data::Sparse { .. } => tables[2] += 1,
                Data::Hole | Data::Source { .. } => {}
            },
            _ => {}
        }
    }
    prop_assert!(walk.next().is_none());
    let same: HashSet<*const Inode> = ids.values().copied().collect();
    prop_assert_eq!(same.len(), ids.len());
    prop_assert_eq!(tree.len(), 1 + ids.len());
    let [directories, targets, contents, classes] = tree.inodes.table_lens();
    prop_assert_eq!([directories, targets, contents], tables);
    prop_assert!(classes <= tree.len());
    // Every file, each directory's before those of the directories in it.
    let by_directory: HashSet<InodeId> = tree.by_directory().skip(1).collect();
    prop_assert_eq!(by_directory, ids.keys().copied().collect());
    Ok(())
}

proptest! {
    #[test]
    fn a_tree_is_a_map_of_inodes(steps in prop::collection::vec(step(), 0..60)) {
        let mut tree = FileTree::new();
        let mut model = Model::default();
        for step in steps {
            apply(&mut tree, &mut model, step)?;
            compare(&tree, &model)?;
        }
        for name in [&b"a"[..], b"b", b"c", b"s"] {
            tree.remove(&TreePath::new(name).unwrap()).unwrap();
        }
        prop_assert_eq!(tree.inodes.table_lens(), [1, 0, 0, 1]);
    }
}
