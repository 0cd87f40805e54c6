package main

// peerVersion is what internal/tools/requirements-litellm.txt pins.
const peerVersion = "1.106.0"
