# SPDX-License-Identifier: MIT OR Apache-2.0
"""Sphinx configuration of the HA-IOV documentation."""

project = "HA-IOV"
author = "HA-IOV maintainers"
copyright = "HA-IOV maintainers"
extensions = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
nitpicky = True
