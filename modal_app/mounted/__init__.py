"""The data root on a mounted bucket (S3, R2): the mount, its index, a container's tree, files for other machines."""
