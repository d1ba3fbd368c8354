"""Modal's service on loopback: `python -m tests.fakes.modal_server ROOT [APP]` prints its address and serves.

The SDK talks to it as it is, over gRPC and, for bytes of files, HTTP. Function calls run on `machine.py`. What of the
protocol this project's calls do not use is answered with UNIMPLEMENTED. It stands in for no limit, price or place.
"""

# ruff: noqa: N802 - the methods' names are the protocol's

import asyncio
import hashlib
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web
from grpclib import GRPCError, Status
from grpclib.events import RecvRequest, listen
from grpclib.server import Server, Stream
from modal._serialization import deserialize, serialize
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientBase

from modal_app.modal_runtime.claim_store import FolderClaimStore
from tests.fakes.modal_server.machine import Machines

TOKEN_ID, TOKEN_SECRET = "ak-TheTokenOfTheseTests01", "as-TheSecretOfTheseTests1"
FUNCTIONS = (
    *("prepare", "tag", "cpu_task"),
    *("train_lora", "train_producer", "evaluate", "generate"),
    *("train_lora_musicgen", "train_producer_musicgen", "evaluate_musicgen", "generate_musicgen"),
)
_BLOCK = 8 * 1024 * 1024


def _unimplemented(name: str) -> Any:
    async def answer(_self: object, _stream: Stream[Any, Any]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, f"{name} is not served here")

    return answer


_Everything: Any = type(
    "_Everything",
    (ModalClientBase,),
    {name: _unimplemented(name) for name in ModalClientBase.__abstractmethods__},
)


class Service(_Everything):
    """What the SDK asks for calls, files, and the register."""

    def __init__(self, machines: Machines, app: str, address: str) -> None:
        self.machines, self.app, self.address = machines, app, address
        self.claim_store = FolderClaimStore(machines.claim_store)
        self.blobs = machines.root / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)

    # --- functions and calls ---

    async def ClientHello(self, stream: Stream[Any, Any]) -> None:
        await stream.recv_message()
        await stream.send_message(api_pb2.ClientHelloResponse())

    async def FunctionGet(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        if asked.app_name != self.app or not (self.machines.root / "deployed").exists():
            raise GRPCError(Status.NOT_FOUND, f"App '{asked.app_name}' not found in environment 'main'")
        if asked.object_tag not in FUNCTIONS:
            raise GRPCError(Status.NOT_FOUND, f"No function named '{asked.object_tag}'")
        handle = api_pb2.FunctionHandleMetadata(
            function_name=asked.object_tag, function_type=api_pb2.Function.FUNCTION_TYPE_FUNCTION
        )
        data = api_pb2.FunctionData(ranked_functions=[api_pb2.FunctionData.RankedFunction(function=api_pb2.Function())])
        await stream.send_message(
            api_pb2.FunctionGetResponse(function_id=f"fu-{asked.object_tag}", handle_metadata=handle, function=data)
        )

    async def FunctionMap(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        (item,) = asked.pipelined_inputs
        content = item.input.args
        if item.input.args_blob_id:
            content = (self.blobs / item.input.args_blob_id).read_bytes()
        (request, key), _ = deserialize(content, None)
        call_id = self.machines.start(asked.function_id.removeprefix("fu-"), request, key)
        await stream.send_message(
            api_pb2.FunctionMapResponse(
                function_call_id=call_id,
                pipelined_inputs=[api_pb2.FunctionPutInputsResponseItem(idx=0, input_id=f"in-{call_id}")],
            )
        )

    async def FunctionGetOutputs(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        call_id, end = asked.function_call_id, time.monotonic() + asked.timeout
        if not self.machines.call(call_id).is_dir():
            raise GRPCError(Status.NOT_FOUND, f"No function call with id {call_id}")
        while (state := self.machines.state(call_id)).name == "running" and time.monotonic() < end:
            await asyncio.sleep(0.02)
        results = {
            "ended": api_pb2.GenericResult(
                status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS, data=serialize("what is returned is not used")
            ),
            "cancelled": api_pb2.GenericResult(
                status=api_pb2.GenericResult.GENERIC_STATUS_TERMINATED, exception="the call was cancelled"
            ),
            "failed": api_pb2.GenericResult(
                status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE, exception=state.reason
            ),
        }
        answer = api_pb2.FunctionGetOutputsResponse(num_unfinished_inputs=int(state.name == "running"))
        if state.name in results:
            answer.outputs.append(
                api_pb2.FunctionGetOutputsItem(result=results[state.name], data_format=api_pb2.DATA_FORMAT_PICKLE)
            )
        await stream.send_message(answer)

    async def FunctionCallCancel(self, stream: Stream[Any, Any]) -> None:
        from google.protobuf.empty_pb2 import Empty

        asked = await stream.recv_message()
        if not self.machines.call(asked.function_call_id).is_dir():
            raise GRPCError(Status.NOT_FOUND, f"No function call with id {asked.function_call_id}")
        await asyncio.to_thread(self.machines.cancel, asked.function_call_id)
        await stream.send_message(Empty())

    async def BlobCreate(self, stream: Stream[Any, Any]) -> None:
        await stream.recv_message()
        blob_id = f"bl-{uuid.uuid4().hex}"
        await stream.send_message(
            api_pb2.BlobCreateResponse(
                blob_ids=[blob_id], upload_urls=api_pb2.UploadUrlList(items=[f"{self.address}/blob/{blob_id}"])
            )
        )

    # --- the volume ---

    async def VolumeGetOrCreate(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        if not (self.machines.root / "deployed").exists():
            raise GRPCError(Status.NOT_FOUND, f"Volume '{asked.deployment_name}' not found")
        metadata = api_pb2.VolumeMetadata(name=asked.deployment_name, version=api_pb2.VOLUME_FS_VERSION_V1)
        await stream.send_message(api_pb2.VolumeGetOrCreateResponse(volume_id="vo-1", metadata=metadata))

    async def VolumeGetFile2(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        path = self.machines.volume / asked.path.lstrip("/")
        if not path.is_file():
            raise GRPCError(Status.NOT_FOUND, f"{asked.path}: no such file")
        name = hashlib.sha256(path.read_bytes()).hexdigest()
        (self.blobs / name).write_bytes(path.read_bytes())  # what is being read does not change
        size = path.stat().st_size
        urls = [f"{self.address}/block/{name}/{start}" for start in range(0, size, _BLOCK)]
        await stream.send_message(api_pb2.VolumeGetFile2Response(get_urls=urls, size=size, start=0, len=size))

    async def MountPutFile(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        place = self.blobs / asked.sha256_hex
        if asked.WhichOneof("data_oneof") == "data_blob_id":
            (self.blobs / asked.data_blob_id).rename(place)
        elif asked.WhichOneof("data_oneof") == "data":
            place.write_bytes(asked.data)
        await stream.send_message(api_pb2.MountPutFileResponse(exists=place.exists()))

    async def VolumePutFiles(self, stream: Stream[Any, Any]) -> None:
        from google.protobuf.empty_pb2 import Empty

        asked = await stream.recv_message()
        for file in asked.files:
            target = self.machines.volume / file.filename.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{uuid.uuid4().hex}")
            temporary.write_bytes((self.blobs / file.sha256_hex).read_bytes())
            temporary.replace(target)
        await stream.send_message(Empty())

    # --- the register ---

    async def DictGetOrCreate(self, stream: Stream[Any, Any]) -> None:
        await stream.recv_message()
        await stream.send_message(api_pb2.DictGetOrCreateResponse(dict_id="di-1"))

    async def DictGet(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        value = self.claim_store.get(deserialize(asked.key, None))
        await stream.send_message(
            api_pb2.DictGetResponse(found=value is not None, value=None if value is None else serialize(value))
        )

    async def DictUpdate(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        created = True
        for entry in asked.updates:
            key, value = deserialize(entry.key, None), deserialize(entry.value, None)
            if asked.if_not_exists:
                created = self.claim_store.put_new(key, value)
            else:
                self.claim_store.put(key, value)
        await stream.send_message(api_pb2.DictUpdateResponse(created=created))


async def _require_token(event: RecvRequest) -> None:
    given = (event.metadata.get("x-modal-token-id"), event.metadata.get("x-modal-token-secret"))
    if given != (TOKEN_ID, TOKEN_SECRET):
        raise GRPCError(Status.UNAUTHENTICATED, f"Token ID {given[0]} with secret {given[1]} is not known")


def _files(blobs: Path) -> web.Application:
    """Bytes of files: blocks to read, blobs to write."""

    async def put(request: web.Request) -> web.Response:
        content = await request.read()
        (blobs / request.match_info["name"]).write_bytes(content)
        etag = hashlib.md5(content).hexdigest()  # noqa: S324 - as S3 does
        return web.Response(headers={"ETag": f'"{etag}"'})

    async def get(request: web.Request) -> web.Response:
        with (blobs / request.match_info["name"]).open("rb") as file:
            file.seek(int(request.match_info["start"]))
            return web.Response(body=file.read(_BLOCK))

    app = web.Application(client_max_size=2**30)
    app.router.add_put("/blob/{name}", put)
    app.router.add_get("/block/{name}/{start}", get)
    return app


async def serve(root: Path, app: str) -> None:
    machines = Machines(root)
    blobs = root / "blobs"
    runner = web.AppRunner(_files(blobs))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server = Server([Service(machines, app, f"http://127.0.0.1:{port}")])
    listen(server, RecvRequest, _require_token)
    await server.start("127.0.0.1", 0)
    assert server._server
    assert server._server.sockets
    sys.stdout.write(f"http://127.0.0.1:{server._server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "nawfside-music"))
