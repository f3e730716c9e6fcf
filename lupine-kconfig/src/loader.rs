//! Reads a tree: files, statements, symbols and nodes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::block::Block;
use crate::diagnostic::{Diagnostic, LoadError, Severity};
use crate::dialect::{Dialect, Rules};
use crate::files::Files;
use crate::grammar::{self, Extensions, Operand, Token};
use crate::kconfig::Kconfig;
use crate::lexer::{self, Kind, WordEnd};
use crate::menu::NodeId;
use crate::preprocess::{Ahead, Environment, MacroError, Macros, Place};
use crate::shell::{Shell, ShellError};
use crate::source::{FileId, SourceFile};
use crate::symbol::SymbolId;

/// Tokens of one statement; longer ones are errors, which bounds the depth of expressions.
const MAX_TOKENS: usize = 4000;
/// Files including one another.
const MAX_INCLUSIONS: usize = 500;

/// Stops the reading; what there is to say is in the diagnostics.
pub(crate) struct Stop;

/// A file being read.
pub(crate) struct Frame {
    pub(crate) file: FileId,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) at: usize,
    pub(crate) line: u32,
    /// Line of the `source` that led here, in the frame below.
    source_line: u32,
    /// Files that ended with the `source` that led here, without a line end: they are no longer
    /// being read, and including one of them again would go on for ever.
    ended: Vec<FileId>,
}

pub(crate) struct Loader<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) environment: &'a Environment,
    pub(crate) macros: Macros<'a>,
    pub(crate) tree: Kconfig,
    file_ids: HashMap<Vec<u8>, FileId>,
    pub(crate) stack: Vec<Frame>,
    /// File and line of the statement being read.
    pub(crate) file: FileId,
    pub(crate) line: u32,
    /// Whole bytes of the file the statement's tokens are in.
    bytes: Arc<[u8]>,
    pub(crate) tokens: Vec<Token>,
    expanded: Vec<u8>,
    /// The file that ended with the present statement, and those that had led to it so.
    ended: Vec<FileId>,
    pub(crate) assignment: Option<(usize, usize)>,
    pub(crate) after_help: bool,
    pub(crate) blocks: Vec<Block>,
    pub(crate) entry: Option<crate::entry::Entry>,
    pub(crate) current: NodeId,
    pub(crate) current_menu: NodeId,
    pub(crate) last_child: NodeId,
    pub(crate) link_child: bool,
    pub(crate) current_choice: Option<usize>,
    pub(crate) modules: Option<SymbolId>,
    pub(crate) errors: u32,
    /// Tokens until a further syntax error is worth a message.
    pub(crate) recovery: u32,
    pub(crate) shell_error: Option<ShellError>,
}

pub(crate) fn load(
    files: &dyn Files,
    root: &[u8],
    environment: &Environment,
    shell: &dyn Shell,
    dialect: Dialect,
) -> Result<Kconfig, LoadError> {
    if shell.prefetches() {
        for ahead in [Ahead::Head, Ahead::Whole] {
            let mut loader = Loader::new(files, environment, shell, dialect.clone());
            loader.macros.ahead = Some(ahead);
            // Whatever is wrong is found again, and reported, by the real walk.
            let _ = loader.read(root);
        }
    }
    let mut loader = Loader::new(files, environment, shell, dialect);
    let read = loader.read(root);
    loader.drain_printed();
    let mut failed = read.is_err() || loader.errors > 0;
    if !failed {
        failed = loader.finish().is_err();
    }
    let mut tree = loader.tree;
    if failed {
        return Err(LoadError {
            diagnostics: tree.diagnostics,
            stdout: tree.stdout,
            stderr: tree.stderr,
            shell: loader.shell_error,
        });
    }
    tree.used_environment = loader.macros.used;
    Ok(tree)
}

impl<'a> Loader<'a> {
    fn new(
        files: &'a dyn Files,
        environment: &'a Environment,
        shell: &'a dyn Shell,
        dialect: Dialect,
    ) -> Self {
        let prefix = environment
            .get(b"CONFIG_".as_slice())
            .cloned()
            .unwrap_or_else(|| dialect.prefix().as_bytes().to_vec());
        Self {
            files,
            environment,
            macros: Macros::new(environment, shell),
            tree: Kconfig::empty(dialect, prefix),
            file_ids: HashMap::new(),
            stack: Vec::new(),
            file: FileId(0),
            line: 0,
            bytes: Arc::from([]),
            tokens: Vec::new(),
            expanded: Vec::new(),
            ended: Vec::new(),
            assignment: None,
            after_help: false,
            blocks: Vec::new(),
            entry: None,
            current: NodeId::ROOT,
            current_menu: NodeId::ROOT,
            last_child: NodeId::ROOT,
            link_child: true,
            current_choice: None,
            modules: None,
            errors: 0,
            recovery: 0,
            shell_error: None,
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        self.tree.dialect.rules()
    }

    fn read(&mut self, root: &[u8]) -> Result<(), Stop> {
        let Some(bytes) = self.open(root) else {
            let mut text = b"can't find file ".to_vec();
            text.extend_from_slice(root);
            self.report(Severity::Error, None, &text, &[&text, b"\n"]);
            return Err(Stop);
        };
        let file = self.file_id(root, &bytes);
        self.file = file;
        self.stack.push(Frame {
            ended: Vec::new(),
            file,
            bytes,
            at: 0,
            line: 1,
            source_line: 0,
        });
        let extensions = Extensions {
            bare_text: self.tree.dialect.legacy,
            named_choice: self.rules() == Rules::Linux6_1,
            conditional_depends: self.tree.dialect.newer,
        };
        while self.next_statement()? {
            let bytes = Arc::clone(&self.bytes);
            let expanded = std::mem::take(&mut self.expanded);
            let tokens = std::mem::take(&mut self.tokens);
            let text_of = |token: &Token| text_of(&bytes, &expanded, token).to_vec();
            let parsed = grammar::statement(&tokens, extensions, &text_of);
            self.expanded = expanded;
            self.tokens = tokens;
            match parsed {
                Ok(statement) if self.macros.ahead == Some(Ahead::Head) && !statement.is_head() => {
                    return Ok(());
                }
                Ok(statement) => self.statement(statement)?,
                Err(token) => self.syntax_error(token),
            }
            if self.errors > 10_000 {
                self.error_here(b"too many errors");
                return Err(Stop);
            }
        }
        self.end_of_input();
        Ok(())
    }

    /// The text of a token of the present statement.
    pub(crate) fn text(&self, token: &Token) -> &[u8] {
        text_of(&self.bytes, &self.expanded, token)
    }

    pub(crate) fn raw(&self, range: (usize, usize)) -> Vec<u8> {
        self.bytes[range.0..range.1].to_vec()
    }

    /// Reads the tokens of the next statement; `false` at the end of the last file.
    fn next_statement(&mut self) -> Result<bool, Stop> {
        self.tokens.clear();
        self.expanded.clear();
        self.ended.clear();
        self.assignment = None;
        loop {
            let Some(frame) = self.stack.last_mut() else {
                return Ok(false);
            };
            let (at, lines) = lexer::skip_blank(&frame.bytes, frame.at);
            frame.line += lines;
            let (kind, end) = lexer::token(&frame.bytes, at);
            if kind == Kind::End {
                frame.at = end;
                if end > at {
                    frame.line += 1;
                    if self.tokens.is_empty() {
                        continue;
                    }
                    return Ok(true);
                }
                if self.end_of_file()? {
                    return Ok(true);
                }
                continue;
            }
            if self.tokens.is_empty() {
                self.line = frame.line;
                self.file = frame.file;
                if !Arc::ptr_eq(&self.bytes, &frame.bytes) {
                    self.bytes = Arc::clone(&frame.bytes);
                }
            }
            frame.at = end;
            self.token(kind, at, end)?;
        }
    }

    /// At the end of a file; whether a statement without line end is to be handled.
    fn end_of_file(&mut self) -> Result<bool, Stop> {
        let unfinished = !self.tokens.is_empty();
        let Some(frame) = self.stack.last() else {
            return Ok(unfinished);
        };
        if unfinished {
            let (file, line) = (frame.file, frame.line);
            self.report_at(
                Severity::Warning,
                file,
                line,
                b"no new line at end of file",
                b":warning: ",
            );
        }
        if unfinished && self.stack.len() == 1 && self.rules() == Rules::Linux6_12 {
            self.syntax_message();
            return Err(Stop);
        }
        let ended = self.stack.pop();
        if let Some(frame) = ended.as_ref().filter(|_| unfinished) {
            self.ended.clone_from(&frame.ended);
            self.ended.push(frame.file);
        }
        match (self.stack.last(), ended) {
            (Some(frame), _) => self.file = frame.file,
            (None, Some(ended)) if !unfinished => self.line = ended.line,
            (None, _) => {}
        }
        Ok(unfinished)
    }

    fn token(&mut self, kind: Kind, at: usize, end: usize) -> Result<(), Stop> {
        let place = at as u32;
        let mut token = Token {
            kind,
            start: place,
            end: end as u32,
            expanded: false,
            at: place,
        };
        // In the old language a word after the first may have dots and slashes in it.
        let loose = self.tree.dialect.legacy && !self.tokens.is_empty();
        match kind {
            Kind::Unknown if loose && matches!(self.bytes[at], b'.' | b'/') => {
                token.kind = Kind::Word;
                self.loose_word(&mut token, at);
            }
            Kind::Unknown => {
                let byte = self.bytes[at];
                let line = self.stack.last().map_or(0, |frame| frame.line);
                let byte = [byte];
                let message = [b"ignoring unsupported character '", byte.as_slice(), b"'"];
                self.report_at(
                    Severity::Warning,
                    self.file,
                    line,
                    &message.concat(),
                    b":warning: ",
                );
                return Ok(());
            }
            Kind::MacroWord => {
                let end = match lexer::macro_word_end(&self.bytes, at) {
                    WordEnd::At(end) => end,
                    WordEnd::Unterminated(dollar) => return Err(self.unterminated(dollar)),
                };
                self.advance(end);
                let start = self.expanded.len();
                let text = self.bytes[at..end].to_vec();
                let expansion = self.expand(&text)?;
                if expansion.is_empty() {
                    return Ok(());
                }
                self.expanded.extend_from_slice(&expansion);
                token.kind = Kind::Word;
                token.start = start as u32;
                token.end = self.expanded.len() as u32;
                token.expanded = true;
            }
            Kind::Quoted => self.quoted(&mut token, end)?,
            Kind::Word => {
                let word = &self.bytes[at..end];
                if let Some(keyword) = lexer::dialect_keyword(&self.tree.dialect, word) {
                    token.kind = Kind::Keyword(keyword);
                } else if loose {
                    self.loose_word(&mut token, end);
                }
            }
            Kind::Equal | Kind::ColonEqual | Kind::PlusEqual
                if !self.after_help
                    && self.tokens.len() == 1
                    && self.tokens[0].kind == Kind::Word =>
            {
                let rest = &self.bytes[end..];
                let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                let blank = rest[..length]
                    .iter()
                    .position(|byte| !matches!(byte, b' ' | b'\t'))
                    .unwrap_or(length);
                self.assignment = Some((end + blank, end + length));
                self.advance(end + length);
            }
            _ => {}
        }
        if self.tokens.len() >= MAX_TOKENS {
            self.error_here(b"statement has more than 4000 words");
            return Err(Stop);
        }
        self.tokens.push(token);
        Ok(())
    }

    fn advance(&mut self, at: usize) {
        if let Some(frame) = self.stack.last_mut() {
            frame.at = at;
        }
    }

    /// Continues a word of the old language; a path may stand without quotes.
    fn loose_word(&mut self, token: &mut Token, mut end: usize) {
        let path = self.tokens.len() == 1
            && matches!(self.tokens[0].kind, Kind::Keyword(lexer::Keyword::Source));
        let belongs = |byte: &u8| match path {
            true => !byte.is_ascii_whitespace(),
            false => lexer::is_word(*byte) || matches!(byte, b'.' | b'/'),
        };
        while self.bytes.get(end).is_some_and(belongs) {
            end += 1;
        }
        token.end = end as u32;
        self.advance(end);
    }

    /// Reads the inside of quotes, from `at`.
    fn quoted(&mut self, token: &mut Token, mut at: usize) -> Result<(), Stop> {
        let bytes = Arc::clone(&self.bytes);
        let open = bytes[at - 1];
        // Most texts have nothing to expand or unescape and stay where they are.
        let plain = bytes[at..]
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b'$' | b'\n'))
            .unwrap_or(bytes.len() - at);
        if bytes.get(at + plain) == Some(&open) {
            token.start = at as u32;
            token.end = (at + plain) as u32;
            self.advance(at + plain + 1);
            return Ok(());
        }
        let start = self.expanded.len();
        loop {
            match bytes.get(at) {
                None => break,
                Some(b'\n') => {
                    let (file, line) = (self.file, self.line);
                    self.report_at(
                        Severity::Warning,
                        file,
                        line,
                        b"multi-line strings not supported",
                        b":warning: ",
                    );
                    break;
                }
                Some(b'$') => match lexer::reference_end(&bytes, at) {
                    WordEnd::At(end) => {
                        self.advance(end);
                        let expansion = self.expand(&bytes[at..end])?;
                        self.expanded.extend_from_slice(&expansion);
                        at = end;
                    }
                    WordEnd::Unterminated(dollar) => return Err(self.unterminated(dollar)),
                },
                Some(b'\\') => {
                    at += 1;
                    if let Some(byte) = bytes.get(at).filter(|byte| **byte != b'\n') {
                        self.expanded.push(*byte);
                        at += 1;
                    }
                }
                Some(byte) if *byte == open => {
                    at += 1;
                    break;
                }
                Some(byte) => {
                    self.expanded.push(*byte);
                    at += 1;
                }
            }
        }
        token.start = start as u32;
        token.end = self.expanded.len() as u32;
        token.expanded = true;
        self.advance(at);
        Ok(())
    }

    fn place_line(&self) -> u32 {
        self.stack.last().map_or(self.line, |frame| frame.line)
    }

    pub(crate) fn expand(&mut self, text: &[u8]) -> Result<Vec<u8>, Stop> {
        let name = self.tree.files[self.file.index()].name.clone();
        let place = Place {
            file: &name,
            line: self.place_line(),
        };
        let result = self.macros.expand(text, &place);
        self.drain_printed();
        result.map_err(|error| self.macro_error(error, place.line))
    }

    pub(crate) fn assign(
        &mut self,
        name: &[u8],
        value: &[u8],
        flavor: crate::preprocess::Flavor,
    ) -> Result<(), Stop> {
        let file = self.tree.files[self.file.index()].name.clone();
        // The line end has been read: the expansion happens on the next line.
        let place = Place {
            file: &file,
            line: self.place_line(),
        };
        let result = self.macros.assign(name, value, flavor, &place);
        self.drain_printed();
        result.map_err(|error| self.macro_error(error, place.line))
    }

    fn drain_printed(&mut self) {
        let printed = &mut self.macros.printed;
        if !printed.out.is_empty() {
            self.tree.stdout.append(&mut printed.out);
        }
        if !printed.err.is_empty() {
            self.tree.stderr.append(&mut printed.err);
        }
        for warning in std::mem::take(&mut printed.warnings) {
            self.tree.diagnostics.push(Diagnostic {
                severity: Severity::Warning,
                file: self.tree.files[self.file.index()].name.clone(),
                line: self.line,
                column: 0,
                length: 0,
                message: warning.trim_ascii_end().to_vec(),
                text: Vec::new(),
                conf: warning,
            });
        }
    }

    fn macro_error(&mut self, error: MacroError, line: u32) -> Stop {
        let message = match error {
            MacroError::Message(message) => message,
            MacroError::Shell { command, error } => {
                let message = [
                    b"$(shell,",
                    command.as_slice(),
                    b"): ",
                    error.to_string().as_bytes(),
                ]
                .concat();
                self.shell_error = Some(error);
                message
            }
        };
        self.report_at(Severity::Error, self.file, line, &message, b": ");
        Stop
    }

    fn unterminated(&mut self, dollar: usize) -> Stop {
        let rest = &self.bytes[(dollar + 2).min(self.bytes.len())..];
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let message = [
            b"unterminated reference to '",
            &rest[..length],
            b"': missing ')'",
        ]
        .concat();
        let line = self.place_line();
        self.report_at(Severity::Error, self.file, line, &message, b": ");
        Stop
    }

    /// Opens a file by name, then below `srctree`.
    pub(crate) fn open(&self, name: &[u8]) -> Option<Arc<[u8]>> {
        if let Some(file) = self.file_ids.get(name) {
            return Some(Arc::clone(&self.tree.files[file.index()].bytes));
        }
        crate::files::search(self.files, self.environment, name).map(Arc::from)
    }

    fn file_id(&mut self, name: &[u8], bytes: &Arc<[u8]>) -> FileId {
        if let Some(file) = self.file_ids.get(name) {
            return *file;
        }
        let file = FileId(self.tree.files.len() as u32);
        self.tree.files.push(SourceFile {
            name: name.to_vec(),
            bytes: Arc::clone(bytes),
        });
        self.file_ids.insert(name.to_vec(), file);
        file
    }

    /// Continues in another file; the present one goes on after it.
    pub(crate) fn include(&mut self, name: &[u8]) -> Result<(), Stop> {
        let Some(bytes) = self.open(name) else {
            let message = [b"can't open file \"", name, b"\""].concat();
            self.report_at(Severity::Error, self.file, self.line, &message, b": ");
            return Err(Stop);
        };
        let known = self.file_ids.get(name).copied();
        let open = |frame: &Frame| Some(frame.file) == known || includes(&frame.ended, known);
        if self.stack.iter().any(open) || includes(&self.ended, known) {
            self.recursive_inclusion(name, known);
            return Err(Stop);
        }
        if self.stack.len() >= MAX_INCLUSIONS {
            self.error_here(b"more than 500 files include one another");
            return Err(Stop);
        }
        let file = self.file_id(name, &bytes);
        let source_line = self.line;
        self.stack.push(Frame {
            file,
            bytes,
            at: 0,
            line: 1,
            source_line,
            ended: self.ended.clone(),
        });
        self.file = file;
        Ok(())
    }

    fn recursive_inclusion(&mut self, name: &[u8], known: Option<FileId>) {
        let mut text =
            b"Recursive inclusion detected.\nInclusion path:\n  current file : ".to_vec();
        text.extend_from_slice(name);
        text.push(b'\n');
        let mut line = self.line;
        for frame in self.stack.iter().rev() {
            text.extend_from_slice(b"  included from: ");
            text.extend_from_slice(&self.tree.files[frame.file.index()].name);
            text.extend_from_slice(format!(":{line}\n").as_bytes());
            line = frame.source_line;
            if self.rules() == Rules::Linux6_1 && Some(frame.file) == known {
                break;
            }
        }
        let message = text.trim_ascii_end().to_vec();
        self.report(
            Severity::Error,
            Some((self.file, self.line)),
            &message,
            &[&text],
        );
    }

    /// A message at the present statement in `conf`'s form `file:line: message`.
    pub(crate) fn error_here(&mut self, message: &[u8]) {
        self.errors += 1;
        self.report_at(Severity::Error, self.file, self.line, message, b": ");
    }

    pub(crate) fn report_at(
        &mut self,
        severity: Severity,
        file: FileId,
        line: u32,
        message: &[u8],
        separator: &[u8],
    ) {
        let name = self.tree.files[file.index()].name.clone();
        let number = format!(":{line}");
        let conf = [
            name.as_slice(),
            number.as_bytes(),
            separator,
            message,
            b"\n",
        ];
        self.report(severity, Some((file, line)), message, &conf);
    }

    pub(crate) fn report(
        &mut self,
        severity: Severity,
        place: Option<(FileId, u32)>,
        message: &[u8],
        conf: &[&[u8]],
    ) {
        let conf = conf.concat();
        self.tree.stderr.extend_from_slice(&conf);
        let mut diagnostic = Diagnostic {
            severity,
            file: Vec::new(),
            line: 0,
            column: 0,
            length: 0,
            message: message.to_vec(),
            text: Vec::new(),
            conf,
        };
        if let Some((file, line)) = place {
            let source = &self.tree.files[file.index()];
            diagnostic.file = source.name.clone();
            diagnostic.line = line;
            if self.tree.diagnostics.len() < 1000 {
                diagnostic.text = source_line(&source.bytes, line).to_vec();
            }
        }
        self.tree.diagnostics.push(diagnostic);
    }

    /// Underlines a token of the statement in the diagnostic reported last.
    pub(crate) fn underline(&mut self, token: &Token) {
        let start = self.bytes[..token.at as usize]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        if let Some(diagnostic) = self.tree.diagnostics.last_mut() {
            diagnostic.column = token.at - start as u32 + 1;
            diagnostic.length = if token.expanded {
                1
            } else {
                token.end.saturating_sub(token.at).max(1)
            };
        }
    }

    pub(crate) fn operand(&mut self, operand: Operand) -> SymbolId {
        let (start, end) = (operand.text.start as usize, operand.text.end as usize);
        let text = if operand.text.expanded {
            &self.expanded[start..end]
        } else {
            &self.bytes[start..end]
        };
        self.tree.symbols.intern(text, operand.constant)
    }
}

fn text_of<'t>(bytes: &'t [u8], expanded: &'t [u8], token: &Token) -> &'t [u8] {
    let range = token.start as usize..token.end as usize;
    if token.expanded {
        &expanded[range]
    } else {
        &bytes[range]
    }
}

/// A line of a file, from 1, without its end, cut at 200 bytes.
fn source_line(bytes: &[u8], line: u32) -> &[u8] {
    let text = bytes
        .split(|byte| *byte == b'\n')
        .nth(line.saturating_sub(1) as usize);
    let text = text.unwrap_or_default();
    &text[..text.len().min(200)]
}

fn includes(files: &[FileId], file: Option<FileId>) -> bool {
    file.is_some_and(|file| files.contains(&file))
}
