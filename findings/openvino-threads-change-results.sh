#!/bin/sh
# openvino 2026.4.1 on Python 3, x86-64 Linux, 2026-11-28.
#
# OpenVINO's CPU plug-in gives other numbers for the same image with another number of threads, or with
# another number of images in the batch: it divides the sums of instance norm (MVN) among the threads,
# within an image where there are fewer images than threads, and by image else. One thread gives the
# same bits at any batch size. In FP32 it is the last bit; a quantised network magnifies it to whole levels.
#
# Setting the number of threads does not settle it: more than the process has processors become as many
# as it has, without a word, so that a machine with fewer of them gives other numbers with the same setting.
#
# Seen on two processors: "2 threads, alone: other bits in ...% of the values", 0 at one thread, and
# "4096 threads set, 2 taken". With a single processor only the second part can be seen.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy
"$work/venv/bin/python" - <<'PYTHON'
import os
import sys

sys.modules["openvino_telemetry"] = None  # or the import is reported
import numpy as np
import openvino

ops = openvino.opset13
core = openvino.Core()
draws = np.random.default_rng(0)
images = draws.standard_normal((16, 16, 64, 64), np.float32) + 3
weights = draws.standard_normal((32, 16, 3, 3), np.float32)


def compiled(rows, threads):
    image = ops.parameter([rows, *images.shape[1:]], np.float32)
    kernel = ops.constant(weights)
    features = ops.convolution(image, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
    norm = ops.mvn(features, np.array([2, 3], np.int64), True, 1e-5, "inside_sqrt")
    model = openvino.Model([norm], [image], "norm")
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    return core.compile_model(model, "CPU", options)


def results(rows, threads):
    model = compiled(rows, threads)
    parts = [model(images[i : i + rows])[0].copy() for i in range(0, len(images), rows)]
    return np.concatenate(parts)


expected = results(16, 1)
for rows in (1, 2, 16):
    assert np.array_equal(results(rows, 1), expected), rows
print("1 thread: the same bits alone, in pairs and in a batch of 16")

processors = len(os.sched_getaffinity(0))
if processors > 1:
    share = (results(1, 2) != expected).mean()
    print(f"2 threads, alone: other bits in {share:.1%} of the values")
    assert share > 0
    assert np.array_equal(results(16, 2), expected)
    print("2 threads, in a batch of 16: the same bits as with one")

taken = compiled(1, 4096).get_property("INFERENCE_NUM_THREADS")
print(f"4096 threads set, {taken} taken, with {processors} processors")
assert taken <= processors
PYTHON
