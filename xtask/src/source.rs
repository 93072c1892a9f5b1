//! A source file as syn reads it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Parses a file.
pub(crate) fn parse(path: &Path) -> Result<syn::File> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    syn::parse_file(&text).with_context(|| format!("cannot parse {}", path.display()))
}

/// Whether one of the attributes is `#[cfg(test)]` or `#[test]`.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|path| path.is_ident("test"))
    })
}

/// The attributes of an item, whatever its kind.
pub(crate) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item::*;
    match item {
        Const(item) => &item.attrs,
        Enum(item) => &item.attrs,
        ExternCrate(item) => &item.attrs,
        Fn(item) => &item.attrs,
        ForeignMod(item) => &item.attrs,
        Impl(item) => &item.attrs,
        Macro(item) => &item.attrs,
        Mod(item) => &item.attrs,
        Static(item) => &item.attrs,
        Struct(item) => &item.attrs,
        Trait(item) => &item.attrs,
        TraitAlias(item) => &item.attrs,
        Type(item) => &item.attrs,
        Union(item) => &item.attrs,
        Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The line on which something starts.
pub(crate) fn line(node: &impl Spanned) -> usize {
    node.span().start().line
}

/// How many lines something spans, with its attributes and documentation.
pub(crate) fn lines(node: &impl Spanned) -> usize {
    let span = node.span();
    span.end().line + 1 - span.start().line
}

/// The names of the modules that a file declares for tests alone (`#[cfg(test)] mod NAME;`).
pub(crate) fn test_modules(file: &syn::File) -> Vec<String> {
    struct Found(Vec<String>);
    impl<'ast> Visit<'ast> for Found {
        fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
            if item.content.is_none() && is_test(&item.attrs) {
                self.0.push(item.ident.to_string());
            }
            visit::visit_item_mod(self, item);
        }
    }
    let mut found = Found(Vec::new());
    found.visit_file(file);
    found.0
}
