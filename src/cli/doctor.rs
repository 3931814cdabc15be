//! `occdepth doctor`: whether everything that the runtime needs is there.

mod full;

use super::engines::CacheArguments;
use super::{Failure, output};
use clap::Args;
use occdepth::doctor::{Examination, Finding, Verdict};
use serde_json::json;
use std::path::PathBuf;

/// Looks at everything that the runtime needs, and says what to mend
///
/// Looks and touches nothing. The first problem is the one to mend first. With --full it also builds an engine, checks
/// its answers, runs frames for a minute and writes all of it, with temperatures and power, to one file to send to us: the
/// names of the host and of your home, cache and configuration directories are left out.
///
/// Exit codes: 0 no problem, 1 a problem.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration of the service: its cameras, rig and network are looked at
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,

    #[command(flatten)]
    cache: CacheArguments,

    /// Where libnvinfer lies, when the loader does not find it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,

    /// Compares the binding with NVIDIA's headers in this directory (the usual places are looked at anyway)
    #[arg(long, value_name = "DIR")]
    abi: Option<PathBuf>,

    /// Builds, checks, runs and writes a report
    #[arg(long)]
    full: bool,

    #[command(flatten)]
    run: full::FullArguments,

    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let examination = Examination {
        configuration: arguments.config.clone(),
        cache: arguments.cache.named(),
        tensorrt: arguments.tensorrt.clone(),
        headers: arguments.abi.clone(),
        ..Examination::default()
    };
    let findings = examination.findings();
    let problems = findings.iter().filter(|f| f.verdict == Verdict::Problem).count();
    if arguments.full {
        return full::run(&arguments.run, &examination, &findings, arguments.json);
    }
    if arguments.json {
        output::print_json(&json!({ "problems": problems, "findings": findings }))?;
    } else {
        output::print(text(&findings).as_bytes())?;
    }
    verdict(problems)
}

/// A failure where there are problems.
fn verdict(problems: usize) -> Result<(), Failure> {
    match problems {
        0 => Ok(()),
        1 => Err(Failure::work("1 problem")),
        n => Err(Failure::work(format!("{n} problems"))),
    }
}

/// A table for people.
fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { subject, verdict, found, mend } in findings {
        text += &format!("{:8} {subject:width$}  {found}\n", verdict.word());
        if let Some(mend) = mend {
            text += &format!("{:8} {:width$}  -> {mend}\n", "", "");
        }
    }
    text
}
