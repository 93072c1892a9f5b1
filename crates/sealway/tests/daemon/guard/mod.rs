//! Nothing gets round Sealway: what a stranger sends in the clear, what a crash leaves, what `down`
//! takes away.

mod attack;
mod crash;
mod site;
mod state;
