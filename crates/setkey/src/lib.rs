//! setkey's language: lexer, tree with spans, printer; knows no engine.
#![forbid(unsafe_code)]
