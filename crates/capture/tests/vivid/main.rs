//! Tests against the kernel's virtual camera, `vivid`, in a virtual machine: `tests/vm/run.sh` builds this program
//! statically, boots a guest with three virtual cameras and runs it there. Anywhere else it says that it is skipped.
//!
//! One check after the other, because they share the cameras.
#![allow(clippy::unwrap_used, reason = "a check fails by panicking")]
#![allow(clippy::print_stdout, reason = "the report")]
#![allow(clippy::panic, clippy::exit, reason = "a test program")]

mod devices;
mod faults;
mod formats;
mod leaks;
mod lines;
mod sources;
mod streams;
mod trouble;

use std::time::Instant;

const CHECKS: &[(&str, fn())] = &[
    ("devices/say_what_they_are", devices::say_what_they_are),
    ("devices/other_files_are_no_cameras", devices::other_files_are_no_cameras),
    ("devices/permission_names_the_group", devices::permission_names_the_group),
    (
        "devices/controls_are_set_by_name_and_verified",
        devices::controls_are_set_by_name_and_verified,
    ),
    ("devices/controls_refuse_what_cannot_be", devices::controls_refuse_what_cannot_be),
    ("devices/a_control_without_effect_is_refused", devices::a_control_without_effect_is_refused),
    ("formats/colour_bars_are_their_colours", formats::colour_bars_are_their_colours),
    ("formats/every_offered_format_has_its_layout", formats::every_offered_format_has_its_layout),
    (
        "formats/multi_planar_images_have_their_planes",
        formats::multi_planar_images_have_their_planes,
    ),
    ("formats/sizes_and_rates_are_reported", formats::sizes_and_rates_are_reported),
    (
        "formats/a_size_that_is_not_offered_is_reported",
        formats::a_size_that_is_not_offered_is_reported,
    ),
    ("streams/times_and_sequences_rise", streams::times_and_sequences_rise),
    ("streams/buffers_are_lent_one_by_one", streams::buffers_are_lent_one_by_one),
    ("streams/buffers_are_exported", streams::buffers_are_exported),
    ("streams/a_second_owner_is_refused", streams::a_second_owner_is_refused),
    ("faults/dropped_buffers_leave_gaps", faults::dropped_buffers_leave_gaps),
    ("faults/silence_is_a_timeout", faults::silence_is_a_timeout),
    ("faults/damaged_buffers_are_flagged", faults::damaged_buffers_are_flagged),
    ("faults/requests_that_fail_once", faults::requests_that_fail_once),
    (
        "faults/a_fatal_error_lasts_until_the_stream_is_rebuilt",
        faults::a_fatal_error_lasts_until_the_stream_is_rebuilt,
    ),
    ("faults/a_lost_device_comes_back", faults::a_lost_device_comes_back),
    ("faults/the_sequence_wraps", faults::the_sequence_wraps),
    ("faults/the_timestamp_wraps", faults::the_timestamp_wraps),
    ("leaks/nothing_is_left_after_many_streams", leaks::nothing_is_left_after_many_streams),
    ("sources/two_cameras_are_a_source", sources::two_cameras_are_a_source),
    (
        "sources/one_device_with_both_views_is_a_source",
        sources::one_device_with_both_views_is_a_source,
    ),
    ("sources/multi_planar_images_are_views", sources::multi_planar_images_are_views),
    ("sources/settings_that_cannot_be_are_refused", sources::settings_that_cannot_be_are_refused),
    ("sources/dropped_buffers_are_counted", sources::dropped_buffers_are_counted),
    ("sources/a_silent_camera_is_rebuilt", sources::a_silent_camera_is_rebuilt),
    ("sources/damaged_images_are_never_lent", sources::damaged_images_are_never_lent),
    ("sources/requests_that_fail_once_are_repeated", sources::requests_that_fail_once_are_repeated),
    ("sources/a_broken_stream_is_rebuilt", sources::a_broken_stream_is_rebuilt),
    (
        "sources/a_lost_camera_returns_with_its_controls",
        sources::a_lost_camera_returns_with_its_controls,
    ),
    ("sources/a_second_owner_is_waited_for", sources::a_second_owner_is_waited_for),
    ("sources/a_sequence_that_wraps_makes_no_gap", sources::a_sequence_that_wraps_makes_no_gap),
    ("sources/times_that_wrap_are_said_aloud", sources::times_that_wrap_are_said_aloud),
    ("sources/no_fault_leaks", sources::no_fault_leaks),
    (
        "trouble/a_camera_that_is_taken_meanwhile_is_waited_for",
        trouble::a_camera_that_is_taken_meanwhile_is_waited_for,
    ),
    (
        "trouble/one_camera_alone_is_no_source_until_the_other_comes",
        trouble::one_camera_alone_is_no_source_until_the_other_comes,
    ),
    (
        "trouble/an_overload_loses_images_and_not_the_source",
        trouble::an_overload_loses_images_and_not_the_source,
    ),
    ("trouble/a_source_that_changes_is_opened_anew", trouble::a_source_that_changes_is_opened_anew),
    ("trouble/faults_are_said_once", trouble::faults_are_said_once),
    (
        "trouble/buffers_of_a_running_source_are_exported",
        trouble::buffers_of_a_running_source_are_exported,
    ),
    (
        "trouble/a_device_that_vanishes_says_so_in_every_call",
        trouble::a_device_that_vanishes_says_so_in_every_call,
    ),
];

fn main() {
    if std::env::var_os("OCCDEPTH_VIVID").is_none() {
        println!(
            "SKIPPED vivid: needs the kernel's virtual camera; tests/vm/run.sh runs it in a virtual machine"
        );
        return;
    }
    if let [_, command, path] = &std::env::args().collect::<Vec<_>>()[..]
        && command == "open"
    {
        devices::open_and_report(path);
    }
    if let [_, command, program, arguments @ ..] = &std::env::args().collect::<Vec<_>>()[..]
        && command == "as-nobody"
    {
        devices::run_as_nobody(program, arguments);
    }
    lines::install();
    let mut failed = 0;
    for (name, check) in CHECKS {
        let start = Instant::now();
        // The panic hook prints message and line.
        let passed = std::panic::catch_unwind(check).is_ok();
        failed += usize::from(!passed);
        let verdict = if passed { "ok" } else { "FAILED" };
        println!("{verdict} {name} ({:.1} s)", start.elapsed().as_secs_f64());
    }
    println!("vivid: {} passed, {failed} failed", CHECKS.len() - failed);
    std::process::exit(i32::from(failed > 0));
}

/// Single-planar webcam.
pub(crate) const LEFT: &str = "/dev/video0";
/// Single-planar webcam.
pub(crate) const RIGHT: &str = "/dev/video1";
/// HDMI input, single-planar.
pub(crate) const HDMI: &str = "/dev/video3";
/// Multi-planar webcam.
pub(crate) const MULTI_PLANAR: &str = "/dev/video2";
