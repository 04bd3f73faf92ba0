"""The endpoints, bare; `middleware` takes `/v1` and doubled slashes off every path before it comes here."""
