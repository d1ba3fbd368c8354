"""What a Live Set knows of its bounce: where it begins in the arrangement, and what plays when."""
