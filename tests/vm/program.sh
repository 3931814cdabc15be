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
        echo "ok program/$1"
    else
        echo "FAILED program/$1 ($2)"
        cat out err
        failed=$((failed + 1))
    fi
}
# Whether the output of the says before something.
says() {
    grep -q -- "$2" out
    verdict "$1" $?
}

check camera_list occdepth camera list
says camera_list_names_vivid vivid
check camera_probe occdepth camera probe /dev/video0
says camera_probe_names_formats YUYV
says camera_probe_names_controls brightness
check camera_probe_multi_planar occdepth camera probe /dev/video2 --json
check camera_grab occdepth camera grab /dev/video0 /dev/video1 --size 640x360 --format YUYV --skip 2
says camera_grab_says_the_skew skew
check camera_grab_pictures test -s left.png -a -s right.png
check camera_grab_top_bottom occdepth camera grab /dev/video0 --layout top-bottom --size 640x180 --skip 0

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
cat > run.toml <<'CONFIG'
rig = "rig.toml"
[source]
kind = "v4l2"
left = "/dev/video0"
right = "/dev/video1"
format = "YUYV"
[source.controls]
brightness = 140
[stream]
socket = "/tmp/vivid.sock"
CONFIG
# Emulated, the network takes seconds.
occdepth run --config run.toml > run.out 2> run.err &
pid=$!
check client_reads_a_grid occdepth watch /tmp/vivid.sock --grids 2 --json --timeout 60
says grids_say_what_was_captured frame_id
kill -TERM $pid
check run_ends_cleanly wait $pid
[ $failed = 0 ] || cat run.out run.err
echo "program: $failed failed"
