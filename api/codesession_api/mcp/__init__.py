"""The MCP server: the same core as `/exec` behind tools, for clients that speak the Model Context Protocol.

`transports` takes requests, `server` is what the SDK asks, `tools` is what it can do, by way of `calls`
(one call: whose it is, how it is told and ended), `results` (what a model reads) and `history`. Nothing is
held between requests, but for the legacy transport's streams. See docs/mcp.md.

The SDK's package has this one's name: imports are absolute.
"""
