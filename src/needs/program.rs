//! Files that are loaded together, and who calls whom across them.

use std::collections::HashMap;
use std::rc::Rc;

use lupine_kml::scan::{Callee, Function, Values};
use rayon::prelude::*;

use super::code::Code;

/// A file that the dynamic loader maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped<'a> {
    /// Path in the image.
    pub(super) file: &'a str,
    /// Its functions.
    pub(super) code: &'a Code<'a>,
    /// Whether all of it is optional: it is loaded only where a configuration
    /// asks for it.
    pub(super) optional: bool,
    /// Whether it is loaded, and its functions are looked up, by name at run
    /// time.
    pub(super) by_name: bool,
}

/// Libraries whose system calls stand behind the functions of C.
pub(super) fn is_c_library(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    [
        "libc.",
        "libc-",
        "ld-",
        "libpthread.",
        "libpthread-",
        "librt.",
        "librt-",
        "libdl.",
        "libm.",
        "libresolv.",
        "libanl.",
        "libutil.",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Whether it is the dynamic loader, whose entry point runs before the program's.
pub(super) fn is_loader(file: &str) -> bool {
    file.rsplit('/').next().unwrap_or(file).starts_with("ld-")
}

/// A function: index of its file, index in it.
pub(super) type Node = (usize, usize);

/// A file beside those that it is loaded with.
pub(super) struct Object<'a> {
    pub(super) mapped: Mapped<'a>,
    pub(super) c_library: bool,
    /// What the loader finds for each import.
    pub(super) found: Vec<Option<Node>>,
}

/// Files that are loaded together.
pub(super) struct Program<'a> {
    /// In the order in which the loader maps them.
    pub(super) objects: Vec<Object<'a>>,
    /// Functions that the loader finds, by name.
    pub(super) exports: HashMap<&'a str, Node>,
}

impl<'a> Program<'a> {
    pub(super) fn link(files: &[Mapped<'a>]) -> Self {
        let mut exports = HashMap::new();
        for (file, mapped) in files.iter().enumerate() {
            for (index, function) in mapped.code.list().iter().enumerate() {
                let names = function.function.name.iter().chain(&function.aliases);
                for name in names {
                    // `name@@VERSION` is what `name` means.
                    let name = name.split('@').next().unwrap_or(name);
                    exports.entry(name).or_insert((file, index));
                }
            }
        }
        let objects = files.iter().map(|mapped| {
            let imports = mapped.code.imports().iter();
            Object {
                mapped: *mapped,
                c_library: is_c_library(mapped.file),
                found: imports
                    .map(|name| exports.get(name.as_str()).copied())
                    .collect(),
            }
        });
        Self {
            objects: objects.collect(),
            exports,
        }
    }

    pub(super) fn function(&self, (file, index): Node) -> Option<&'a Function> {
        self.objects[file].mapped.code.list().get(index)
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        let files = self.objects.iter().enumerate();
        let each = |(file, object): (usize, &Object<'_>)| {
            (0..object.mapped.code.list().len()).map(move |index| (file, index))
        };
        files.flat_map(each).collect()
    }

    /// The function that a call of a file leads to.
    pub(super) fn callee(&self, file: usize, callee: Callee) -> Option<Node> {
        let object = &self.objects[file];
        match callee {
            Callee::Local(target) => Some((file, object.mapped.code.starting(target)?)),
            Callee::Import(import) => *object.found.get(import)?,
        }
    }

    /// What functions pass on; computed side by side.
    pub(super) fn values(&self, nodes: &[Node]) -> Vec<(Node, Rc<Values>)> {
        let values: Vec<Values> = nodes
            .par_iter()
            .map(|&(file, index)| self.objects[file].mapped.code.values(index))
            .collect();
        let shared = values.into_iter().map(Rc::new);
        nodes.iter().copied().zip(shared).collect()
    }
}
