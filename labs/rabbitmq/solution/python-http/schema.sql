-- One invoice for each order, whoever writes it and however often.
ALTER TABLE billing.invoice ADD PRIMARY KEY (order_id);
