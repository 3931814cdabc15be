//! The parser of `times.txt`.

use occdepth::capture::directory::{TimesError, parse_times};
use proptest::prelude::*;

#[test]
fn kitti_times_are_read_to_the_nanosecond() {
    let text = "0.000000e+00\n1.039920e-01\n2.078660e-01\r\n 3.117268e-01 \n\n";
    assert_eq!(parse_times(text, "t").unwrap(), [0, 103_992_000, 207_866_000, 311_726_800]);
    assert_eq!(parse_times("", "t").unwrap(), Vec::<u64>::new());
}

#[test]
fn a_bad_line_is_named() {
    for (text, line, found) in [
        ("0\nx\n", 2, "x"),
        ("0\n\n1\n", 2, ""),
        ("-1e-3\n", 1, "-1e-3"),
        ("nan", 1, "nan"),
        ("0\n1\ninf", 3, "inf"),
        ("0 1", 1, "0 1"),
        ("2e10", 1, "2e10"),
    ] {
        let expected =
            TimesError::NotATime { origin: "times.txt".into(), line, found: found.into() };
        assert_eq!(parse_times(text, "times.txt"), Err(expected));
    }
    for text in ["0\n0.2\n0.1\n", "0\n0.1\n0.1"] {
        let expected =
            TimesError::NotIncreasing { origin: "t".into(), line: 3, found: "0.1".into() };
        assert_eq!(parse_times(text, "t"), Err(expected));
    }
}

proptest! {
    #[test]
    fn written_times_are_read_back(
        start_ns in 0..10_000_000_000_u64,
        steps_ns in proptest::collection::vec(1..5_000_000_000_u64, 0..50),
    ) {
        let mut times_ns = vec![start_ns];
        for step_ns in steps_ns {
            times_ns.push(times_ns.last().unwrap() + step_ns);
        }
        let lines: Vec<String> = times_ns
            .iter()
            .map(|ns| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000))
            .collect();
        prop_assert_eq!(parse_times(&lines.join("\n"), "t").unwrap(), times_ns);
    }

    #[test]
    fn any_text_is_times_or_an_error(text in "[-0-9.e+ \nainf]{0,60}|\\PC{0,40}") {
        if let Ok(times_ns) = parse_times(&text, "t") {
            prop_assert!(times_ns.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(times_ns.len(), text.trim_end().lines().count());
        }
    }
}
