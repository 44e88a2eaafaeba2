CREATE UNIQUE INDEX one_invoice_each ON billing.invoice (order_id);
