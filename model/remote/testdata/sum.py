"""A model of MLServer that adds its two inputs."""
from mlserver import MLModel
from mlserver.types import InferenceResponse, MetadataModelResponse, MetadataTensor, ResponseOutput


class Sum(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        x, n = (tensor.data.root for tensor in payload.inputs)
        rows = [float(a or 0) + float(b or 0) for a, b in zip(x, n)]
        return InferenceResponse(model_name=self.name, outputs=[
            ResponseOutput(name="score", shape=[len(rows), 1], datatype="FP64", data=rows)])

    async def metadata(self):
        return MetadataModelResponse(
            name=self.name, platform="test",
            inputs=[MetadataTensor(name="x", datatype="FP64", shape=[-1]), MetadataTensor(name="n", datatype="INT64", shape=[-1])],
            outputs=[MetadataTensor(name="score", datatype="FP64", shape=[-1, 1])])
