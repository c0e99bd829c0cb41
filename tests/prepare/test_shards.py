import pytest
from datasets import ClassLabel, Features, Image, Value

from train.prepare.shards import schema


@pytest.mark.parametrize("genres", [[], ["jazz", "rock and roll", "música"]])
def test_the_schema_is_what_datasets_itself_would_write(genres):
    features = {"image": Image(), "source": Value("string"), "sha256": Value("string"), "phash": Value("string")}
    if genres:
        features["genre"] = ClassLabel(names=genres)
    assert schema(genres).equals(Features(features).arrow_schema, check_metadata=True)
    assert Features.from_arrow_schema(schema(genres)) == Features(features)
