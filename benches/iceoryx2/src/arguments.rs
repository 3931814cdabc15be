//! What the user wants to be measured.

use crate::contender::Failure;
use std::path::PathBuf;
use std::str::FromStr;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Grids of each measurement, besides the warm-up.
    pub(crate) grids: u64,
    /// How often everything is measured in turn.
    pub(crate) rounds: usize,
    /// Numbers of readers.
    pub(crate) readers: Vec<usize>,
    /// From one grid to the next.
    pub(crate) every_us: u64,
    /// Whether to measure again with every core busy.
    pub(crate) load: bool,
    /// How many writers and readers are started to see how long that takes.
    pub(crate) starts: usize,
    /// Where the page goes; standard output otherwise.
    pub(crate) markdown: Option<PathBuf>,
}

impl Plan {
    /// From the arguments of the command line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let mut plan = if quick { Self::quick() } else { Self::whole() };
        let mut left = arguments.iter();
        while let Some(argument) = left.next() {
            let mut value = || left.next().ok_or_else(|| format!("{argument}: a value is missing"));
            match argument.as_str() {
                "--quick" => {}
                "--load" => plan.load = true,
                "--grids" => plan.grids = number(argument, value()?)?,
                "--rounds" => plan.rounds = number(argument, value()?)?,
                "--every-us" => plan.every_us = number(argument, value()?)?,
                "--readers" => {
                    let numbers = value()?.split(',').map(|text| number(argument, text));
                    plan.readers = numbers.collect::<Result<_, _>>()?;
                }
                "--markdown" => plan.markdown = Some(value()?.into()),
                _ => return Err(format!("{argument}: unknown\n{USAGE}").into()),
            }
        }
        if plan.grids == 0 || plan.rounds == 0 || plan.readers.contains(&0) {
            return Err("grids, rounds and readers must be at least 1".into());
        }
        Ok(plan)
    }

    fn whole() -> Self {
        Self {
            grids: 1_000,
            rounds: 5,
            readers: vec![1, 8],
            every_us: 10_000,
            load: false,
            starts: 20,
            markdown: None,
        }
    }

    /// Whether everything runs; its numbers mean little.
    fn quick() -> Self {
        Self { grids: 50, rounds: 1, every_us: 5_000, load: true, starts: 2, ..Self::whole() }
    }
}

fn number<T: FromStr>(argument: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| format!("{argument}: {text} is not a number of its kind").into())
}

const USAGE: &str = "\
expected: [--grids N] [--rounds N] [--readers 1,8] [--every-us N] [--load] [--quick] [--markdown FILE]
  --load   also with a copying thread on every core
  --quick  one short round of everything";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, Failure> {
        Plan::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_said_counts_whatever_the_order() {
        let plan = parse("--grids 7 --quick --readers 1,64").expect("it is valid");
        assert_eq!(plan, Plan { grids: 7, readers: vec![1, 64], ..Plan::quick() });
        assert_eq!(parse("").expect("nothing need be said"), Plan::whole());
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--grids", "--grids 0", "--grids x", "--readers 1,,2", "--readers 0", "fast"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
