#!/usr/bin/env bash
# Kills `stargan-deploy batch` with SIGKILL at random moments and resumes it each time, until it is
# done; starts again in another folder until there were enough kills. Checks that the images end
# equal to those of an undisturbed run, byte for byte, with no file more, and that no image which
# was noted as finished is ever touched again. Five minutes for fifty on two cores:
#
#     benchmarks/kill_batch_and_resume.sh [number of kills]
set -euo pipefail
kills=${1:-50}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" # no runs here: the demo model is used
num_photos=2000

python - "$num_photos" <<'PYTHON'
import os
import sys
from pathlib import Path

from stargan_deploy.benchmarking.suite.synthetic_photos import write_synthetic_photos

drawn = write_synthetic_photos(Path("drawn"), 50, (64, 128))
for number in range(int(sys.argv[1])):
    link = Path("photos", f"{number // 100:02d}", f"{number:04d}.jpg")
    link.parent.mkdir(parents=True, exist_ok=True)
    os.link(drawn[number % len(drawn)], link)
PYTHON

translate() { # output folder
    exec stargan-deploy batch --input photos --attrs Blond_Hair --attrs=-Male --output "$1" \
        --resume --quiet >/dev/null
}

# Compares the inodes and times of the images that the manifest lists with those of last time.
check_finished() { # output folder
    python - "$1" "$1.json" <<'PYTHON'
import json
import sys
from pathlib import Path

from stargan_deploy.batch.manifest.reader import read_manifests

output, notes = map(Path, sys.argv[1:])
before = json.loads(notes.read_text()) if notes.exists() else {}
photos = read_manifests(output).photos.values()
paths = [image.path for photo in photos for image in photo.outputs]
now = {path: [(output / path).stat().st_ino, (output / path).stat().st_mtime_ns] for path in paths}
touched = [path for path in before if now.get(path) != before[path]]
if touched:
    sys.exit(f"{len(touched)} finished images were touched again, first {touched[0]}")
notes.write_text(json.dumps(now))
PYTHON
}

# Waits, for most kills, until the process has noted something: starting up takes the most time.
random_moment() { # process, output folder
    local size
    size=$(stat -c %s "$2/manifest.jsonl" 2>/dev/null || echo 0)
    if ((RANDOM % 4)); then
        while kill -0 "$1" 2>/dev/null; do
            (($(stat -c %s "$2/manifest.jsonl" 2>/dev/null || echo 0) > size)) && break
            sleep 0.01
        done
    fi
    sleep "0.$(printf %03d $((RANDOM % 600)))"
}

check_done() { # output folder
    check_finished "$1"
    diff -r --exclude=manifest.jsonl --exclude=report.json whole "$1"
    rm -r "$1"
}

(translate whole)
killed=0
batches=1
while ((killed < kills)); do
    (translate "killed-$batches") &
    process=$!
    random_moment "$process" "killed-$batches"
    kill -9 "$process" 2>/dev/null || true
    code=0
    wait "$process" 2>/dev/null || code=$?
    if ((code == 137)); then
        killed=$((killed + 1))
        check_finished "killed-$batches"
    elif ((code == 0)); then
        check_done "killed-$batches"
        batches=$((batches + 1))
    else
        echo "the resumed batch failed with exit code $code" >&2
        exit 1
    fi
done
(translate "killed-$batches")
check_done "killed-$batches"
echo "$killed kills in $batches batches of $num_photos photos: every image as it would have been," \
    "and none touched again"
