//! Clients that take descriptors: their own, the writer's, and those in flight.

use crate::behaved::{DEADLINE, SHARE, SPARE_DESCRIPTORS};
use crate::support::{assert_whole, options, stream};
use crate::{
    DIMS, Grids, OTHER_UID, PLENTY, THIRD_UID, VOXELS, alone, assert_served, connect, connect_soon,
    descriptors_of, kill, open_directory, rounds, skip, spawn, spawn_as, wait_for_tally,
    wait_until,
};
use occdepth_ring::layout::handshake::Refusal;
use occdepth_ring::{Access, ConnectError, Grid, ReadError, Reader, Writer, WriterOptions};
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn a_writer_whose_descriptors_are_all_taken_goes_on_and_serves_again() {
    let _alone = alone();
    let (_directory, socket) = open_directory();
    let mut writer = spawn("behaved::child_serves_with_few_descriptors", &socket);
    wait_for_tally(&socket, &mut writer);
    let mut first = connect_soon(&socket);
    let process = writer.0.id().to_string();
    let before = descriptors_of(&process);
    let (mut served, mut refused) = (0, 0);
    let rounds = rounds(4);
    for _ in 0..rounds {
        let mut hog = spawn("hostile::child_opens_sockets_until_none_are_left", &socket);
        wait_for_tally(&socket, &mut hog);
        assert!(descriptors_of(&process) >= before + SPARE_DESCRIPTORS / 2, "the hog took few");
        for _ in 0..10 {
            assert_next(&mut first);
            match connect_at_once(&socket) {
                Ok(_) => served += 1,
                Err(Refusal::OutOfDescriptors) => refused += 1,
                Err(refusal) => panic!("{refusal}"),
            }
        }
        kill(hog);
        assert_served(&socket);
        wait_until("the writer has its descriptors back", || descriptors_of(&process) == before);
    }
    println!("{rounds} hogs: {refused} newcomers refused, {served} served");
    assert!(refused > 0, "the writer never ran out of descriptors: the test tests nothing");
    kill(writer);
}

#[test]
fn a_client_that_opens_all_the_sockets_it_can_hurts_only_itself() {
    let _alone = alone();
    let (_directory, socket) = open_directory();
    let settings =
        WriterOptions { max_clients: 1000, max_clients_per_uid: 1000, ..options(&socket) };
    let mut writer = Writer::create(&stream(DIMS, true), &settings).unwrap();
    let mut grids = Grids::new(VOXELS);
    grids.publish(&mut writer);
    let before = descriptors_of("self");
    for _ in 0..rounds(4) {
        let mut hog = spawn("hostile::child_opens_sockets_until_none_are_left", &socket);
        wait_for_tally(&socket, &mut hog);
        // It needs two descriptors where the writer needs one.
        assert!(descriptors_of("self") >= before + 100, "the hog took few");
        for _ in 0..10 {
            grids.publish(&mut writer);
            assert_served(&socket);
        }
        kill(hog);
        wait_until("its places are given back", || descriptors_of("self") == before);
    }
}

#[test]
fn a_user_that_takes_all_places_gets_its_share_and_others_are_served() {
    let name = "a_user_that_takes_all_places_gets_its_share_and_others_are_served";
    if !rustix::process::geteuid().is_root() {
        skip(&format!("{name}: needs root to become another user"));
        return;
    }
    let _alone = alone();
    let (_directory, socket) = open_directory();
    let settings = WriterOptions {
        socket_mode: 0o666,
        access: Access::everyone(),
        max_clients: 64,
        max_clients_per_uid: 16,
        ..options(&socket)
    };
    let mut writer = Writer::create(&stream(DIMS, true), &settings).unwrap();
    let mut grids = Grids::new(VOXELS);
    grids.publish(&mut writer);
    let before = descriptors_of("self");
    for _ in 0..rounds(4) {
        let refused = writer.clients().refused;
        let mut hog =
            spawn_as(OTHER_UID, "hostile::child_opens_sockets_until_none_are_left", &socket);
        wait_for_tally(&socket, &mut hog);
        for _ in 0..10 {
            grids.publish(&mut writer);
            // One more for a moment: it is accepted to be refused.
            assert!(descriptors_of("self") <= before + 16 + 1, "more than its share");
            // Nothing that the hog does keeps a place from another user.
            assert_served_at_once(&socket);
            wait_until("that reader's place is given back", || {
                descriptors_of("self") <= before + 16
            });
        }
        assert!(writer.clients().refused >= refused + 10, "the hog was hardly refused");
        kill(hog);
        wait_until("its places are given back", || descriptors_of("self") == before);
    }
}

#[test]
fn descriptors_that_are_left_unread_are_taken_back() {
    let _alone = alone();
    let (_directory, socket) = open_directory();
    let places = 40;
    let settings = WriterOptions {
        handshake_timeout: Duration::from_millis(60),
        max_clients: places,
        ..options(&socket)
    };
    let mut writer = Writer::create(&stream(DIMS, true), &settings).unwrap();
    let mut grids = Grids::new(VOXELS);
    let before_any = descriptors_of("self");
    let mut first = connect_soon(&socket);
    let before = before_any + 2;
    wait_until("the reader is connected", || descriptors_of("self") == before);
    for _ in 0..rounds(4) {
        let closed = writer.clients().closed;
        let mut hostile = spawn("hostile::child_leaves_descriptors_unread", &socket);
        wait_for_tally(&socket, &mut hostile);
        let all = places as u64 - 1;
        wait_until("all are hung up on", || writer.clients().closed >= closed + all);
        // It tries again and again: no further descriptor is put in flight for it.
        for _ in 0..10 {
            grids.publish(&mut writer);
            assert_next(&mut first);
            assert!(descriptors_of("self") <= before + places);
            assert_eq!(connect_at_once(&socket).unwrap_err(), Refusal::TooManyClients);
        }
        assert_eq!(writer.clients().closed, closed + all, "more than there are places for");
        kill(hostile);
        assert_served(&socket);
        wait_until("the writer has its descriptors back", || descriptors_of("self") == before);
    }
}

/// The kernel counts the descriptors that a user has in flight, and refuses to send more than that user may have open:
/// what hostile clients leave unread must not add up.
#[test]
fn descriptors_in_flight_do_not_add_up_and_other_users_are_served() {
    let name = "descriptors_in_flight_do_not_add_up_and_other_users_are_served";
    if !rustix::process::geteuid().is_root() {
        skip(&format!(
            "{name}: needs root, to which the limit does not apply, to become another user"
        ));
        return;
    }
    let _alone = alone();
    let (_directory, socket) = open_directory();
    let mut writer =
        spawn_as(OTHER_UID, "behaved::child_serves_with_few_descriptors_for_each", &socket);
    wait_for_tally(&socket, &mut writer);
    let mut first = connect_soon(&socket);
    let process = writer.0.id().to_string();
    let before = descriptors_of(&process);
    let rounds = rounds(3);
    for _ in 0..rounds {
        let mut hostile = spawn_as(THIRD_UID, "hostile::child_leaves_descriptors_unread", &socket);
        wait_for_tally(&socket, &mut hostile);
        wait_until("it has its share", || descriptors_of(&process) >= before + SHARE);
        // So long that its share, again and again, would be more than the writer may have in flight.
        let start = Instant::now();
        while start.elapsed() < 6 * DEADLINE {
            assert_next(&mut first);
            assert_served_at_once(&socket);
            std::thread::sleep(DEADLINE / 5);
        }
        kill(hostile);
        wait_until("the writer has its descriptors back", || descriptors_of(&process) == before);
    }
    println!("{} descriptors left unread in {rounds} rounds", rounds * SHARE);
    kill(writer);
}

fn assert_served_at_once(socket: &Path) {
    let mut grid = Grid::new();
    connect_at_once(socket).unwrap().copy_newest(&mut grid).unwrap();
    assert_whole(&grid.published, &grid.labels, &grid.confidence);
}

/// Connects, or is refused; again only when this process was itself too slow to say hello.
fn connect_at_once(socket: &Path) -> Result<Reader, Refusal> {
    loop {
        match connect(socket) {
            Ok(reader) => return Ok(reader),
            Err(ConnectError::Refused { reason: Refusal::Hello, .. }) => {}
            Err(ConnectError::Refused { reason, .. }) => return Err(reason),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A reader that was there before goes on to get grids.
fn assert_next(reader: &mut Reader) {
    let mut grid = Grid::new();
    loop {
        match reader.next(&mut grid, PLENTY) {
            Ok(sequence) => break assert!(sequence.is_some(), "nothing for {PLENTY:?}"),
            Err(ReadError::Lapped { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_whole(&grid.published, &grid.labels, &grid.confidence);
}
