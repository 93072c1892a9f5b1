//! `cargo xtask test`: everything that the README promises, step by step.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::tools::{self, Missing};
use crate::{demo, instructions, interop, layers, package, sizes, workspace};

/// One thing that is tested.
struct Step {
    name: &'static str,
    privilege: Privilege,
    run: fn() -> Result<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Privilege {
    /// Anybody.
    None,
    /// It makes TUN devices and network namespaces.
    Root,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        privilege: Privilege::None,
        run: || cargo(&["fmt", "--all", "--", "--check"]),
    },
    Step {
        name: "layers",
        privilege: Privilege::None,
        run: layers::run,
    },
    Step {
        name: "sizes",
        privilege: Privilege::None,
        run: sizes::run,
    },
    Step {
        name: "clippy",
        privilege: Privilege::None,
        run: clippy,
    },
    Step {
        name: "documentation",
        privilege: Privilege::None,
        run: documentation,
    },
    // The fuzzers' inputs are replayed among them.
    Step {
        name: "tests",
        privilege: Privilege::Root,
        run: || cargo(&["test", "--workspace"]),
    },
    Step {
        name: "release build",
        privilege: Privilege::None,
        run: || demo::binary().map(drop),
    },
    Step {
        name: "package",
        privilege: Privilege::None,
        run: package::run,
    },
    Step {
        name: "package under systemd",
        privilege: Privilege::Root,
        run: package::boot,
    },
    Step {
        name: "instructions",
        privilege: Privilege::None,
        run: instructions::run,
    },
    Step {
        name: "demo",
        privilege: Privilege::Root,
        run: demo::run,
    },
    Step {
        name: "demo --sabotage",
        privilege: Privilege::Root,
        run: demo::sabotage,
    },
    Step {
        name: "interop self-check",
        privilege: Privilege::Root,
        run: interop::self_check,
    },
    Step {
        name: "interop tshark",
        privilege: Privilege::Root,
        run: interop::tshark,
    },
    Step {
        name: "interop strongswan",
        privilege: Privilege::Root,
        run: interop::strongswan_in_short,
    },
    Step {
        name: "interop linux",
        privilege: Privilege::Root,
        run: || interop::linux(&interop::Rows::default()),
    },
];

/// How a step ended.
struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

/// Runs every step, whatever the ones before it said, and says whether all passed.
pub(crate) fn run(missing: Missing) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!(
            "Not root: the steps that make TUN devices and network namespaces will fail; run `sudo -E env PATH=$PATH cargo xtask test`."
        );
    }
    let mut outcomes = vec![outcome("tools", || tools::provide(missing))];
    for step in STEPS {
        outcomes.push(outcome(step.name, || {
            ensure!(is_root || step.privilege == Privilege::None, "needs root");
            (step.run)()
        }));
    }
    summary(&outcomes)
}

fn outcome(name: &'static str, run: impl FnOnce() -> Result<()>) -> Outcome {
    println!("== {name}");
    let start = Instant::now();
    let result = run();
    let took = start.elapsed();
    match &result {
        Ok(()) => println!("== {name}: ok, {:.1} s", took.as_secs_f32()),
        Err(error) => println!("== {name}: FAILED, {:.1} s: {error:#}", took.as_secs_f32()),
    }
    Outcome { name, took, result }
}

/// One line a step, then the sum. The last line is `N passed, M failed`.
fn summary(outcomes: &[Outcome]) -> bool {
    println!();
    for Outcome { name, took, result } in outcomes {
        let seconds = took.as_secs_f32();
        match result {
            Ok(()) => println!("ok      {seconds:7.1} s  {name}"),
            Err(error) => {
                let first = format!("{error:#}");
                println!(
                    "FAILED  {seconds:7.1} s  {name}: {}",
                    first.lines().next().unwrap_or_default()
                );
            }
        }
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    failed == 0
}

/// Runs cargo in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    succeed(Command::new("cargo").args(arguments))
}

fn clippy() -> Result<()> {
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

fn documentation() -> Result<()> {
    succeed(
        Command::new("cargo")
            .args([
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .current_dir(workspace::root())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
