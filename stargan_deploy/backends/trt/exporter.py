"""Writes TensorRT engines, with `tensorrt` or `tensorrt_rtx`, from ONNX graphs.

Networks are strongly typed, so precision is in the graph, and what the layers compute in is read
back from the network (and from the engine where a GPU can load it). TensorRT-RTX builds without a
GPU; such an engine cannot be run here, and its card says so until `stargan-deploy verify`.
"""

import hashlib
from pathlib import Path
from typing import Any

from stargan_deploy.backends.exporter import EngineOptions, Exporter, GraphRequest, WrittenGraph
from stargan_deploy.backends.trt.build import build_engine
from stargan_deploy.backends.trt.execution import load_engine
from stargan_deploy.backends.trt.file import EngineRecord, attach_card, record_path, write_record
from stargan_deploy.backends.trt.gpu import Gpu, find_gpu
from stargan_deploy.backends.trt.inspection import (
    Layer,
    card_interface,
    check_convolutions,
    inspected_layers,
    measured_precision,
    network_interface,
    network_layers,
)
from stargan_deploy.backends.trt.profile import InputShapes, describe_profile, profile_shapes
from stargan_deploy.backends.trt.provider import Provider, describe_problems, load_provider
from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.devices import parse_device
from stargan_deploy.errors import BackendError, ExportError, UsageError, brief

MAX_OPTIMIZATION_LEVEL = 5


class TensorRTExporter(Exporter):
    """Writes engines from ONNX graphs of the same precision."""

    is_bounded = True

    def source_precision(self, precision: Precision) -> Precision | None:
        """An engine is made from the ONNX graph of the same precision."""
        return precision

    def check_options(self, options: EngineOptions) -> None:
        """Finds the library and refuses options that it does not have.

        Raises:
            UsageError: no such provider, or one without optimization levels.
            BackendError: the library is missing or does not load.
        """
        _provider_for(options)

    def side_files(self, path: Path) -> tuple[Path, ...]:
        """The record with the card."""
        return (record_path(path),)

    def write_graph(self, request: GraphRequest, path: Path) -> WrittenGraph:
        """Writes one entry point as an engine with its record next to it; see `Exporter`.

        Raises:
            UsageError: options that the library does not have.
            ExportError: TensorRT cannot parse the graph or build the engine, or a convolution
                computes in another precision than was asked for.
            BackendError: the library is missing, or does not work here.
        """
        provider = _provider_for(request.engine)
        shapes = profile_shapes(
            request.point, image_size=request.image_size, opt_batch=request.engine.opt_batch
        )
        device = parse_device(request.device)
        gpu = find_gpu(device if device.is_cuda else None)
        builder = provider.create_builder(provider.new_log())
        assert request.graph is not None, "`source_precision` asks for it"
        network = parse_graph(provider, builder, request.graph.read_bytes())
        layers = network_layers(provider, network)
        check_convolutions(layers, request.precision)
        found, wanted = network_interface(provider, network), card_interface(request.point)
        if found != wanted:
            raise ExportError(f"TensorRT made of the graph a network with {found}, not {wanted}")
        config = _configure(provider, builder, request.engine, shapes, gpu)
        engine = build_engine(provider, builder, network, config, gpu)
        built_with = provider.built_with(gpu)
        if gpu is not None:
            layers += _layers_on(provider, engine, gpu)
            check_convolutions(layers, request.precision)
        path.write_bytes(engine)
        sha256 = hashlib.sha256(engine).hexdigest()
        write_record(path, EngineRecord(engine_sha256=sha256, built_with=built_with, card=None))
        capability = built_with.compute_capability.replace("+", " and newer")
        sizes = describe_profile(request.point, shapes)
        return WrittenGraph(
            payload_sha256=sha256,
            precision=measured_precision(layers),
            notes=(f"{path.name}: {sizes}; {provider.title}, compute capability {capability}",),
            packages=(provider.package, "onnx"),
        )

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card next to an engine, replacing an earlier one."""
        attach_card(path, card)


def _provider_for(options: EngineOptions) -> Provider:
    """The library that an engine is built with; see `TensorRTExporter.check_options`."""
    level = options.optimization_level
    if level is not None and not 0 <= level <= MAX_OPTIMIZATION_LEVEL:
        raise UsageError(
            f"`optimization_level` {level} is out of range; it goes from 0 to "
            f"{MAX_OPTIMIZATION_LEVEL}"
        )
    provider = load_provider(options.provider)
    if level is not None and provider.is_rtx:
        raise UsageError(
            f"{provider.name} builds the same engine at every `optimization_level`, because it "
            "compiles kernels when an engine is loaded",
            hint="leave it out, or take `provider` tensorrt",
        )
    return provider


def parse_graph(provider: Provider, builder: Any, graph: bytes) -> Any:
    """Reads an ONNX graph into a strongly typed network.

    Raises:
        ExportError: there is something in it that TensorRT does not know.
    """
    network = provider.create_network(builder)
    parser = provider.module.OnnxParser(network, builder.logger)
    if not parser.parse(graph):
        raise ExportError(f"{provider.title} cannot take this graph: {_parser_error(parser)}")
    return network


def _parser_error(parser: Any) -> str:
    """The first complaint, with the node that it is about."""
    if not parser.num_errors:
        return "it gives no reason"
    error = parser.get_error(0)
    node = f"node {error.node_name()!r} ({error.node_operator()}): " if error.node_name() else ""
    return f"{node}{brief(RuntimeError(error.desc()))}"


def _configure(
    provider: Provider,
    builder: Any,
    options: EngineOptions,
    shapes: dict[str, InputShapes],
    gpu: Gpu | None,
) -> Any:
    """The builder's configuration, with one optimization profile."""
    config = provider.create_config(builder, gpu)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    profile = builder.create_optimization_profile()
    for name, found in shapes.items():
        profile.set_shape(name, found.min, found.opt, found.max)
    if config.add_optimization_profile(profile) < 0:
        problem = describe_problems(builder.logger)
        raise ExportError(f"{provider.title} refuses the sizes {shapes}: {problem}")
    return config


def _layers_on(provider: Provider, engine: bytes, gpu: Gpu) -> list[Layer]:
    """The precisions of a built engine's layers; empty where this GPU cannot load it."""
    try:
        loaded = load_engine(provider, engine, provider.built_with(gpu), gpu)
    except BackendError:
        return []  # proving the export will say so
    inspector = loaded.engine.create_engine_inspector()
    return inspected_layers(
        inspector.get_engine_information(provider.module.LayerInformationFormat.JSON)
    )
