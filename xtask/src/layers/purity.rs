//! What a source file may not name.
//!
//! Paths are read with syn, not with a search for words: a `use` with its aliases and braces, a
//! path in code, in a type or in the arguments of a macro all lead to the same full name.

use std::collections::BTreeMap;

use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};

use crate::source;

/// What engine code may not name; each stands for all that is below it.
const FORBIDDEN: [&str; 22] = [
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "getrandom",
    "libc",
    "log",
    "nix",
    "rand",
    "tokio",
    "tracing",
];
/// Macros that write to somebody.
const LOUD: [&str; 5] = ["dbg", "eprint", "eprintln", "print", "println"];
/// Modules from which a `*` would let in what is forbidden.
const NO_GLOB: [&str; 4] = ["std", "std::io", "std::net", "std::time"];

/// A line and what is wrong there.
pub(super) type Fault = (usize, String);

/// Whether the file begins with `#![forbid(unsafe_code)]`.
pub(super) fn forbids_unsafe(file: &syn::File) -> bool {
    file.attrs.iter().any(|attribute| {
        attribute.path().is_ident("forbid")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("unsafe_code"))
    })
}

/// Clocks, sockets, threads, files, logs and randomness that the file names, tests apart.
pub(super) fn impurities(file: &syn::File) -> Vec<Fault> {
    let mut search = Search::default();
    search.visit_file(file);
    // A `use` may stand behind what uses it: paths are judged when all are known. A word alone
    // that nobody imported is a local name.
    let used = search
        .used
        .iter()
        .filter_map(|(line, path)| Some((*line, expand(path, &search.aliases)?)));
    let mut faults = search.faults;
    for (line, full) in search.imported.iter().cloned().chain(used) {
        if let Some(name) = FORBIDDEN.iter().find(|name| is_at_or_below(&full, name)) {
            faults.push((line, format!("names {full}: {name} is not for this crate")));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Calls of `into_parts`, tests apart.
pub(super) fn exits(file: &syn::File) -> Vec<Fault> {
    let mut search = Search::default();
    search.visit_file(file);
    search.exits.sort_unstable();
    let fault = |line| {
        (
            line,
            "takes apart what leaves the engine: only an adaptor may".to_owned(),
        )
    };
    search.exits.into_iter().map(fault).collect()
}

/// Collects what a file names.
#[derive(Default)]
struct Search {
    /// The local name of each import, and its full path.
    aliases: BTreeMap<String, String>,
    /// Paths in `use` and `extern crate`, whole as they are.
    imported: Vec<(usize, String)>,
    /// Paths in code and types, which may begin with an alias.
    used: Vec<(usize, String)>,
    faults: Vec<Fault>,
    exits: Vec<usize>,
}

impl Search {
    fn import(&mut self, prefix: &str, tree: &syn::UseTree, line: usize) {
        let join = |name: &dyn std::fmt::Display| match prefix {
            "" => name.to_string(),
            _ => format!("{prefix}::{name}"),
        };
        match tree {
            syn::UseTree::Path(path) => self.import(&join(&path.ident), &path.tree, line),
            syn::UseTree::Name(name) => self.bind(prefix, &name.ident, &name.ident, line),
            syn::UseTree::Rename(name) => self.bind(prefix, &name.ident, &name.rename, line),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(prefix, tree, line);
                }
            }
            syn::UseTree::Glob(_) if NO_GLOB.contains(&prefix) => {
                self.faults
                    .push((line, format!("uses {prefix}::*: name what you need")));
            }
            syn::UseTree::Glob(_) => self.imported.push((line, prefix.to_owned())),
        }
    }

    fn bind(&mut self, prefix: &str, name: &syn::Ident, local: &syn::Ident, line: usize) {
        let full = match (prefix, name == "self") {
            (_, true) => prefix.to_owned(),
            ("", false) => name.to_string(),
            (_, false) => format!("{prefix}::{name}"),
        };
        // `use std::time::{self}` is known by the last word of the path.
        let local = match (local == "self", full.rsplit_once("::")) {
            (true, Some((_, last))) => last.to_owned(),
            _ => local.to_string(),
        };
        self.imported.push((line, full.clone()));
        self.aliases.insert(local, full);
    }
}

impl<'ast> Visit<'ast> for Search {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !source::is_test(source::attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !source::is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import("", &item.tree, source::line(item));
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.imported
            .push((source::line(item), item.ident.to_string()));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if words.len() > 1 && words.last().is_some_and(|word| word == "into_parts") {
            self.exits.push(source::line(path));
        }
        self.used.push((source::line(path), words.join("::")));
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "into_parts" {
            self.exits.push(source::line(&call.method));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called
            .path
            .segments
            .last()
            .map(|part| part.ident.to_string());
        if let Some(name) = name.filter(|name| LOUD.contains(&name.as_str())) {
            self.faults.push((
                source::line(called),
                format!("calls {name}!: this crate is silent"),
            ));
        }
        // Most macros take expressions; what does not parse as such holds none.
        let arguments = Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        if let Ok(arguments) = arguments.parse2(called.tokens.clone()) {
            for argument in &arguments {
                <Self as Visit<'_>>::visit_expr(self, argument);
            }
        }
        visit::visit_macro(self, called);
    }
}

/// The path with its first word replaced by what that was imported as; none for a word alone that
/// was not imported.
fn expand(path: &str, aliases: &BTreeMap<String, String>) -> Option<String> {
    match (path.split_once("::"), aliases.get(path)) {
        (None, full) => full.cloned(),
        (Some((first, rest)), _) => match aliases.get(first) {
            Some(full) => Some(format!("{full}::{rest}")),
            None => Some(path.to_owned()),
        },
    }
}

fn is_at_or_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        impurities(&syn::parse_file(text).unwrap())
            .into_iter()
            .map(|(line, _)| line)
            .collect()
    }

    #[test]
    fn a_clock_is_found_however_it_is_imported() {
        assert_eq!(lines("fn f() { let _ = std::time::Instant::now(); }"), [1]);
        assert_eq!(lines("use std::time::{Duration, Instant};"), [1]);
        assert_eq!(
            lines("use std::time;\nfn f() -> u8 {\n time::SystemTime::now();\n 0 }"),
            [3]
        );
        assert_eq!(
            lines("use std::time::{self as t};\nfn f(_: t::Instant) {}"),
            [2]
        );
        assert_eq!(lines("use std::time::*;"), [1]);
        assert_eq!(lines("fn f() {\n use std::time::Instant as Now;\n}"), [2]);
        assert_eq!(
            lines("fn f() { assert!(true, \"{:?}\", std::time::Instant::now()); }"),
            [1]
        );
    }

    #[test]
    fn time_and_addresses_that_are_only_values_are_fine() {
        let text = "use std::net::{IpAddr, Ipv4Addr};\nuse std::time::Duration;\nuse std::sync::Arc;\n\
            fn f(log: core::time::Duration) -> Result<(), log_free::Error> { log.into(); g(log) }";
        assert_eq!(lines(text), Vec::<usize>::new());
    }

    #[test]
    fn sockets_threads_files_and_randomness_are_found() {
        for text in [
            "use std::net::UdpSocket;",
            "fn f(_: std::net::TcpStream) {}",
            "fn f() { std::thread::spawn(|| ()); }",
            "use std::{fs, mem};",
            "fn f() { getrandom::fill(&mut []).ok(); }",
            "use rand::Rng;",
            "extern crate libc;",
        ] {
            assert_eq!(lines(text), [1], "{text}");
        }
    }

    #[test]
    fn logs_and_prints_are_found() {
        for text in [
            "fn f() { println!(\"x\"); }",
            "fn f() { tracing::trace!(\"x\"); }",
            "fn f() { log::info!(\"x\"); }",
            "use tracing::debug;",
            "fn f() { std::dbg!(1); }",
        ] {
            assert_eq!(lines(text), [1], "{text}");
        }
    }

    #[test]
    fn tests_may_do_all_of_it() {
        let text =
            "#[cfg(test)]\nmod tests {\n use std::thread;\n fn f() { println!(\"x\"); }\n}\n";
        assert_eq!(lines(text), Vec::<usize>::new());
    }

    #[test]
    fn taking_apart_what_leaves_is_found_in_every_form() {
        let found = |text: &str| exits(&syn::parse_file(text).unwrap()).len();
        assert_eq!(found("fn f(t: Transmit) { let _ = t.into_parts(); }"), 1);
        assert_eq!(
            found("fn f(t: Option<Admitted>) { let _ = t.map(Admitted::into_parts); }"),
            1
        );
        assert_eq!(found("fn f(t: Admitted) { assert!(t.into_parts().x); }"), 1);
        assert_eq!(found("impl Transmit { pub fn into_parts(self) {} }"), 0);
        assert_eq!(
            found("#[cfg(test)]\nmod tests { fn f(t: Transmit) { t.into_parts(); } }"),
            0
        );
    }

    #[test]
    fn the_missing_forbid_is_noticed() {
        let forbids = |text: &str| forbids_unsafe(&syn::parse_file(text).unwrap());
        assert!(forbids("//! x\n#![forbid(unsafe_code)]\n"));
        assert!(!forbids("#![deny(unsafe_code)]\n"));
    }
}
