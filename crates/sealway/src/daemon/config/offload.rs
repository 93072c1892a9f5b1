//! `offload`: all, none, or one by one.

use sealway_io::offload::{Kind, Kinds};
use sealway_setkey::{Diagnostic, Span};
use toml::{Spanned, Table, Value};

use super::{file, wrong};

/// The offloads that are wanted; all where nothing is said.
pub(super) fn wanted(offload: Option<&Spanned<Value>>) -> Result<Kinds, Box<Diagnostic>> {
    let Some(offload) = offload else {
        return Ok(Kinds::ALL);
    };
    let span = offload.span().into();
    match offload.get_ref() {
        Value::Boolean(true) => Ok(Kinds::ALL),
        Value::Boolean(false) => Ok(Kinds::NONE),
        Value::Table(table) => one_by_one(table, span),
        _ => {
            let message = "expected true, false, or switches such as { tso4 = false, gro = false }";
            Err(wrong(span, message))
        }
    }
}

/// What is not named is wanted.
fn one_by_one(table: &Table, span: Span) -> Result<Kinds, Box<Diagnostic>> {
    let names = Kind::ALL.map(Kind::name);
    let unknown = table.keys().find(|key| !names.contains(&key.as_str()));
    if let Some(unknown) = unknown {
        let message = format!("there is no offload `{unknown}`");
        return Err(Box::new(file::unknown_name(unknown, &names, message, span)));
    }
    let mut wanted = Kinds::ALL;
    for kind in Kind::ALL {
        match table.get(kind.name()) {
            None | Some(Value::Boolean(true)) => {}
            Some(Value::Boolean(false)) => wanted = wanted.without(kind),
            Some(_) => {
                let message = format!("the offload `{}` is true or false", kind.name());
                return Err(wrong(span, message));
            }
        }
    }
    Ok(wanted)
}
