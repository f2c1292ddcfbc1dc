"""The log: one order, durable and hash-chained, of everything this house decided and every fact it acted on."""
