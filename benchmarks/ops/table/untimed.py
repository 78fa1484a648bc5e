"""Public names that are not timed, with the reasons."""

from __future__ import annotations

import minigrad as mg
from minigrad import nn, optim

# Layers and aliases that only call a function of the table.
SAME = {
    "concat": "cat",
    "concatenate": "cat",
    "type": "to",
    "type_as": "to",
    "half": "to",
    "short": "to",
    "int": "to",
    "long": "to",
    "bool": "to",
    "byte": "to",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "BatchNorm1d": "batch_norm",
    "BatchNorm2d": "batch_norm",
    "ConstantPad2d": "pad",
    "CrossEntropyLoss": "cross_entropy",
    "HuberLoss": "huber_loss",
    "Flatten": "flatten",
    "FocalLoss": "focal_loss",
    "InstanceNorm1d": "instance_norm",
    "InstanceNorm2d": "instance_norm",
    "KLDivLoss": "kl_div",
    "LogSigmoid": "logsigmoid",
    "LogSoftmax": "log_softmax",
    "MSELoss": "mse_loss",
    "NLLLoss": "nll_loss",
    "ReflectionPad2d": "pad",
    "ReplicationPad2d": "pad",
    "SmoothL1Loss": "smooth_l1_loss",
    "Upsample": "interpolate",
    "UpsamplingBilinear2d": "interpolate",
    "UpsamplingNearest2d": "interpolate",
    "ZeroPad1d": "pad",
    "ZeroPad2d": "pad",
    "new_full": "full",
    "new_ones": "ones",
    "new_zeros": "zeros",
    "tensor": "clone",
    "new_tensor": "clone",
}

SCHEDULES = ("ChainedScheduler", "CosineAnnealingWarmRestarts")
NO_TIME: dict[str, str] = {
    "views and shapes": """
        T mT broadcast_to detach detach_ dim expand_as movedim ndim
        ndimension nelement numel ravel reshape reshape_as shape size squeeze t
        unflatten Unflatten unsqueeze view view_as element_size Identity""",
    "uninitialised memory": "empty empty_like new_empty",
    "several processes: benchmarks need mpirun": "SyncBatchNorm distributed",
    "properties and settings of a tensor": """
        device grad grad_fn is_cuda is_floating_point is_leaf is_tensor node register_hook
        requires_grad requires_grad_ retain_grad retains_grad zero_grad data dtype""",
    "conversion from and to other libraries, devices and files": """
        as_tensor cpu cuda from_numpy gpu item numpy tolist load save""",
    "part of every other row": "backward",
    "containers of layers": "ModuleDict ModuleList Module ParameterList Parameter Sequential",
    "modules": """
        autograd checkpoint console data functional init lr_scheduler memory nn onnx optim
        swa_utils utils""",
    "settings, types, errors, numbers and tools": """
        CaptureError CapturedStep DeviceError Diagonal Generator Multilinear Optimizer
        OutOfMemoryError Rerun Rule Tensor detect_anomaly draw e enable_grad explore finfo
        float16 float32 float64 fuse get_implementation get_num_threads get_precision get_xp
        gradcheck gradgradcheck iinfo inf inference_mode int16 int32 int64 int8 is_compiled
        is_gpu_available is_grad_enabled is_inference_mode_enabled manual_seed nan no_grad op pi
        set_compiled set_flush_denormal set_grad_enabled set_implementation set_num_threads
        set_precision trace uint16 uint32 uint64 uint8 watch_compilation""",
}


def public() -> set[str]:
    """The names of functions, layers, losses, optimisers and methods of Tensor."""
    modules = (mg, mg.functional, nn, optim)
    names = {name for module in modules for name in module.__all__}
    return names | {name for name in dir(mg.Tensor) if not name.startswith("_")}


def reason(name: str, timed: set[str]) -> str:
    """Why ``name``, which is not in ``timed``, is not timed; "" if no reason is given."""
    if SAME.get(name) in timed:
        return f"it calls {SAME[name]}"
    lower = {other.replace("_", "") for other in timed}
    if name[0].isupper() and name.lower() in lower:
        return "a layer that calls the function of the same name"
    if name.endswith("_") and name[:-1] in timed | {"neg"}:
        return "the operation of the same name, and a copy as in copy_"
    if "LR" in name or name in SCHEDULES:
        return "a schedule: a few numbers"
    return next((why for why, names in NO_TIME.items() if name in names.split()), "")
