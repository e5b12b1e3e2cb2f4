"""gRPC's own health check (grpc.health.v1.Health), which clients call on a connection that is long idle."""

from __future__ import annotations

from typing import Any

from grpclib.const import Cardinality, Handler
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse


class Health:
    """Always well: who answers at all can build."""

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by their paths."""
        check = Handler(self.check, Cardinality.UNARY_UNARY, HealthCheckRequest, HealthCheckResponse)
        return {"/grpc.health.v1.Health/Check": check}

    async def check(self, stream: Any) -> None:
        """One check."""
        await stream.recv_message()
        await stream.send_message(HealthCheckResponse(status=HealthCheckResponse.SERVING))
