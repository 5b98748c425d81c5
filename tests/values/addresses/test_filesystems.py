import pytest

from crosstower.errors import DataError
from crosstower.values.addresses import filesystems
from crosstower.values.addresses.address import Address
from crosstower.values.addresses.filesystems import file_system, path_in


def test_each_scheme_has_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    kinds = [file_system(Address(scheme, "b/k")).type_name for scheme in ("s3", "gs", "az")]
    assert kinds == ["s3", "gcs", "abfs"]
    assert path_in(Address("az", "container/rows")) == "container/rows"


def test_what_the_environment_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    with pytest.raises(DataError, match=r"az://c/k: no storage account; set AZURE_STORAGE_ACCOUNT"):
        file_system(Address("az", "c/k"))
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(DataError, match=r"hdfs://node/k: no Hadoop client \(Unable to load libjvm"):
        file_system(Address("hdfs", "node/k"))
    with pytest.raises(DataError, match=r"iceberg://c/t: iceberg:// addresses cannot be used here"):
        file_system(Address("iceberg", "c/t"))


def test_without_a_region_that_of_the_bucket_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(filesystems, "_region_of", lambda bucket: "eu-west-3")
    assert file_system(Address("s3", "some-bucket-of-paris/k")).region == "eu-west-3"
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert file_system(Address("s3", "some-bucket-of-paris/k")).region == "ap-south-1"
