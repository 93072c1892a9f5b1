//! `cargo xtask sizes`: a newcomer reads a file in one sitting.

use anyhow::{Result, ensure};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::source;
use crate::workspace::{self, is_test_file, rust_files, shown};

/// The most lines of a file, tests apart.
const FILE: usize = 600;
/// The most lines of a function that nobody is told about.
const FUNCTION: usize = 60;

/// Checks every file; a long function is only mentioned.
pub(crate) fn run() -> Result<()> {
    let mut long_files = Vec::new();
    let mut long_functions = Vec::new();
    let mut count = 0;
    for path in ["crates", "xtask"]
        .iter()
        .flat_map(|part| rust_files(&workspace::root().join(part)))
    {
        if is_test_file(&path) {
            continue;
        }
        count += 1;
        let file = source::parse(&path)?;
        let lines = lines_without_tests(&file, std::fs::read_to_string(&path)?.lines().count());
        if lines > FILE {
            long_files.push(format!(
                "{}: {lines} lines, {FILE} are allowed",
                shown(&path)
            ));
        }
        for (name, line, lines) in long(&file) {
            long_functions.push(format!("{}:{line}: {name} has {lines} lines", shown(&path)));
        }
    }
    for function in &long_functions {
        println!("long function (a remark, no failure): {function}");
    }
    println!(
        "{count} files, {} too long, {} long functions",
        long_files.len(),
        long_functions.len()
    );
    ensure!(long_files.is_empty(), "{}", long_files.join("\n"));
    Ok(())
}

/// The lines of a file without its items for tests.
fn lines_without_tests(file: &syn::File, all: usize) -> usize {
    let for_tests = |item: &&syn::Item| source::is_test(source::attributes(item));
    all - file
        .items
        .iter()
        .filter(for_tests)
        .map(source::lines)
        .sum::<usize>()
}

/// Name, line and length of each function that is longer than [`FUNCTION`], tests apart.
fn long(file: &syn::File) -> Vec<(String, usize, usize)> {
    struct Long(Vec<(String, usize, usize)>);
    impl Long {
        fn look_at(&mut self, signature: &syn::Signature, block: &syn::Block) {
            let first = source::line(signature);
            let lines = block.span().end().line + 1 - first;
            if lines > FUNCTION {
                self.0.push((signature.ident.to_string(), first, lines));
            }
        }
    }
    impl<'ast> Visit<'ast> for Long {
        fn visit_item(&mut self, item: &'ast syn::Item) {
            if !source::is_test(source::attributes(item)) {
                visit::visit_item(self, item);
            }
        }
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            self.look_at(&function.sig, &function.block);
            visit::visit_item_fn(self, function);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
            self.look_at(&function.sig, &function.block);
            visit::visit_impl_item_fn(self, function);
        }
    }
    let mut found = Long(Vec::new());
    found.visit_file(file);
    found.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn items_for_tests_do_not_count_wherever_they_stand() {
        let text =
            "#[cfg(test)]\nmod tests;\n\nfn a() {}\n\n#[cfg(test)]\nmod more {\n    fn b() {}\n}\n";
        let file = syn::parse_file(text).unwrap();
        assert_eq!(lines_without_tests(&file, text.lines().count()), 3);
    }

    #[test]
    fn a_long_function_is_found_also_in_an_impl() {
        let body = "    let _ = 1;\n".repeat(FUNCTION);
        let text = format!("struct A;\nimpl A {{\nfn a() {{\n{body}}}\n}}\nfn b() {{}}\n");
        let found = long(&syn::parse_file(&text).unwrap());
        assert_eq!(found, vec![("a".to_owned(), 3, FUNCTION + 2)]);
    }
}
