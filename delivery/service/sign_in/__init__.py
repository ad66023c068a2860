"""Who calls, and how much they may: users, tokens, quotas, rates, and what no call may be. See docs/security.md."""
