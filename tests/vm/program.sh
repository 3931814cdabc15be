#!/bin/busybox sh
# In the guest: the program itself with live cameras, from `camera list` to a grid that a client has read.
cd /tmp || exit 1
failed=0
check() {
    name=$1
    shift
    "$@" > out 2> err
    verdict "$name" $?
}
verdict() {
    if [ "$2" = 0 ]; then
        echo "ok program/$1 (at $(cut -d ' ' -f 1 /proc/uptime) s)"
    else
        echo "FAILED program/$1 ($2)"
        cat out err
        failed=$((failed + 1))
    fi
}
# says NAME PATTERN: whether a line of the output of the check before is just that (extended regular expression).
says() {
    grep -qxE -- "$2" out
    verdict "$1" $?
}
# The helper that changes the user is the test program, which does nothing without this.
export OCCDEPTH_VIVID=1
# refuses NAME CODE PATTERN COMMAND...: whether it ends with this code and says that on stderr.
refuses() {
    name=$1 code=$2 pattern=$3
    shift 3
    "$@" > out 2> err
    found=$?
    [ "$found" = "$code" ] && grep -qE -- "$pattern" err
    verdict "$name" $?
}
check camera_list occdepth camera list
says camera_list_names_every_camera '/dev/video2  camera: vivid \(vivid, platform:vivid-002\)'
check camera_probe occdepth camera probe /dev/video0
says camera_probe_names_formats '  YUYV   YUYV 4:2:2'
says camera_probe_names_controls '  brightness = 0 to 255; is [0-9]+, default 128'
says camera_probe_tells_of_dmabuf 'delivers .* DMABUF export: yes'
check camera_probe_multi_planar occdepth camera probe /dev/video2 --json
says camera_probe_says_multi_planar ' *"multi_planar": true,?'
check camera_grab occdepth camera grab /dev/video0 /dev/video1 --size 640x360 --format YUYV --skip 2
says camera_grab_says_what_it_is '/dev/video0, /dev/video1: Yuyv 640x360|left camera /dev/video0, right camera /dev/video1: Yuyv 640x360'
says camera_grab_says_the_skew 'skew  [+-][0-9]+\.[0-9]{3} ms \(right minus left\)'
# 640x360 in a PNG's header, big-endian, after its 16 first bytes.
size() {
    dd if="$1" bs=1 skip=16 count=8 2> /dev/null | hexdump -v -e '1/1 "%02x"'
}
check camera_grab_left_picture test "$(size left.png)" = 0000028000000168
check camera_grab_right_picture test "$(size right.png)" = 0000028000000168
for format in UYVY NV12 RGB3 GREY RGGB RG10; do
    check "camera_grab_$format" occdepth camera grab /dev/video0 /dev/video1 --size 640x360 --format $format --skip 0
done
check camera_grab_top_bottom occdepth camera grab /dev/video0 --layout top-bottom --size 640x180 --skip 0
check camera_grab_half_picture test "$(size left.png)" = 00000280000000b4
# Calibrating without a board in sight: it says what it sees, and a signal ends it without a rig.
occdepth calibrate --cameras /dev/video0 /dev/video1 --size 640x360 --format YUYV --board 9x6 --square 25mm \
    --keep kept -o board.toml > out 2> err &
pid=$!
looks=0
until grep -q '^both images: found' out || [ $looks = 30 ]; do
    sleep 1
    looks=$((looks + 1))
done
kill -TERM $pid
wait $pid
[ $? = 1 ] && grep -q '^both images: found' out && grep -q 'no pair was kept: both images: found' err && [ ! -e board.toml ]
verdict calibrate_without_a_board $?
refuses camera_grab_one_camera_twice 2 'one device' occdepth camera grab /dev/video0 /dev/video0
refuses camera_grab_no_camera 2 'does not speak V4L2' occdepth camera grab /dev/null --layout top-bottom
refuses camera_grab_no_permission 1 '/dev/video[01]: permission denied; found a process outside group video' \
    vivid-tests as-nobody /bin/occdepth camera grab /dev/video0 /dev/video1 --size 640x360
refuses camera_probe_no_permission 1 'usermod --append --groups video' \
    vivid-tests as-nobody /bin/occdepth camera probe /dev/video0

cat > rig.toml <<'RIG'
name = "vivid"
image_size = { width = 640, height = 360 }
rectified = false
[left]
model = "radial-tangential"
fx = 400.0
fy = 400.0
cx = 319.5
cy = 179.5
coefficients = [-0.1, 0.01, 0.0, 0.0]
[right]
model = "radial-tangential"
fx = 400.0
fy = 400.0
cx = 319.5
cy = 179.5
coefficients = [-0.1, 0.01, 0.0, 0.0]
[right_from_left]
rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
translation_m = [-0.2, 0.0, 0.0]
[left_from_ego]
rotation = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
translation_m = [0.0, 0.0, 0.0]
RIG
# configuration SOCKET CONTROLS...
configuration() {
    socket=$1
    shift
    cat <<CONFIG
rig = "rig.toml"
[source]
kind = "v4l2"
left = "/dev/video0"
right = "/dev/video1"
format = "YUYV"
[source.controls]
CONFIG
    for control in "$@"; do
        echo "$control"
    done
    echo '[stream]'
    echo "socket = \"$socket\""
}
configuration /tmp/refused.sock 'gain_automatic = true' 'gain = 50' > refused.toml
refuses run_control_without_effect 2 '50 without effect while gain_automatic is on' occdepth run --config refused.toml
configuration /tmp/vivid.sock 'brightness = 140' 'gain_automatic = false' 'gain = 60' > run.toml
# Emulated, the network takes seconds.
occdepth run --config run.toml --json > run.out 2> run.err &
pid=$!
check client_reads_a_grid occdepth watch /tmp/vivid.sock --grids 1 --json --timeout 60
says grid_is_healthy '\{.*"dims":\[128,128,16\].*"frame_id":[0-9]+,"health":"ok".*"stream":"vivid".*\}'
says grid_has_the_drivers_times '\{.*"left_capture_time_ns":[1-9][0-9]{9,}.*"right_capture_time_ns":[1-9][0-9]{9,}.*'
# At most half a period at 40 images a second.
says grid_is_of_one_moment '.*"skew_ns":-?(1[0-2][0-9]{6}|[0-9]{1,7}),.*'
cat out > grids
check controls_are_set occdepth camera probe /dev/video0
says brightness_is_set '  brightness = .*; is 140, default 128'
says gain_is_set '  gain = .*; is 60, default [0-9]+'
refuses camera_grab_busy 1 'in use by another program' occdepth camera grab /dev/video0 /dev/video1 --size 640x360
kill -TERM $pid
check run_ends_cleanly wait $pid
cp run.out out
cp run.err err
# The source's state, then each camera's.
says run_says_its_source_ran ' *"state": "running",?'
says run_pairs_by_time ' *"pairing": "timestamp",?'
says run_counts_no_fault ' *"disconnected": 0,?'
check source_was_never_lost sh -c '! grep -qE "\"state\": \"(lost|degraded)\"" run.out'
# One line when a camera begins to run, and none per image.
check run_says_little test "$(grep -c 'camera /dev/video' run.err)" -le 4
[ $failed = 0 ] || cat grids run.out run.err
echo "program: $failed failed"
