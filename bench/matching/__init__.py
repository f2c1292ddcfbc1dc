"""cambist behind the C interface of a public harness for matching engines, beside engines that others have put behind it. docs/matching.md says how."""
