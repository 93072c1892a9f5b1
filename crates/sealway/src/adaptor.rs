//! The only place of the daemon where packets leave the engine (`into_parts`).
