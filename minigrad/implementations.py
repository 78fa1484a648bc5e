"""Importing this module registers all implementations (see :mod:`minigrad.dispatch`)."""

# ruff: noqa: F401

import minigrad.cpu.activation
import minigrad.cpu.analytic
import minigrad.cpu.arithmetic
import minigrad.cpu.attention
import minigrad.cpu.blend
import minigrad.cpu.blocks
import minigrad.cpu.class_loss
import minigrad.cpu.conv
import minigrad.cpu.dropout
import minigrad.cpu.fold
import minigrad.cpu.indexing
import minigrad.cpu.layer_norm
import minigrad.cpu.linear
import minigrad.cpu.loss
import minigrad.cpu.muon
import minigrad.cpu.norm
import minigrad.cpu.optim
import minigrad.cpu.planes  # before `pool`, which serves any order of memory
import minigrad.cpu.pool
import minigrad.cpu.product
import minigrad.cpu.quotient
import minigrad.cpu.reduce
import minigrad.cpu.resize
import minigrad.cpu.scan
import minigrad.cpu.select
import minigrad.cpu.shape
import minigrad.cpu.softmax
import minigrad.cpu.sort
import minigrad.gpu.activation
import minigrad.gpu.arithmetic
import minigrad.gpu.conv
import minigrad.gpu.dropout
import minigrad.gpu.linear
import minigrad.gpu.loss
import minigrad.gpu.norm
import minigrad.gpu.optim
import minigrad.gpu.pool
import minigrad.gpu.shape
